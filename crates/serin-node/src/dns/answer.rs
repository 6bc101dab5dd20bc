//! Answers to questions: pure, from the table.

use super::message::{self, A, ANY, CNAME, Data, NO_ERROR, NO_NAME, PTR, Question, SRV};
use super::table::{Found, Table};

/// What to do with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer this.
    Answer(Vec<u8>),
    /// Ask somebody else.
    Elsewhere,
    /// It is no question.
    Ignore,
}

/// Answers a question, if it is about the cluster.
pub(super) fn answer(table: &Table, message: &[u8]) -> Verdict {
    let Some(question) = message::question(message) else { return Verdict::Ignore };
    let (code, records, further) = match table.find(&question.name) {
        Found::Elsewhere => return Verdict::Elsewhere,
        Found::Nothing => (NO_NAME, Vec::new(), Vec::new()),
        Found::Records(all) => {
            let (records, further) = chosen(table, &question, &all);
            (NO_ERROR, records, further)
        }
    };
    let zone = table.domain();
    Verdict::Answer(message::answer(message, &question, code, &records, &further, zone))
}

type Records = Vec<(String, Data)>;

/// The records that were asked for, and the addresses of names in them.
fn chosen(table: &Table, question: &Question, all: &[Data]) -> (Records, Records) {
    let (mut records, mut further) = (Records::new(), Records::new());
    for data in all {
        let kind = match data {
            Data::A(_) => A,
            Data::Cname(_) => CNAME,
            Data::Ptr(_) => PTR,
            Data::Srv(..) => SRV,
        };
        // A name that stands for another answers for it.
        if kind != question.kind && question.kind != ANY && kind != CNAME {
            continue;
        }
        records.push((question.name.clone(), data.clone()));
        let target = match data {
            Data::Cname(target) | Data::Srv(_, target) => target,
            Data::A(_) | Data::Ptr(_) => continue,
        };
        if let Found::Records(more) = table.find(target) {
            let addresses = more.into_iter().filter(|one| matches!(one, Data::A(_)));
            let list = if kind == CNAME { &mut records } else { &mut further };
            if kind != CNAME || question.kind == A {
                list.extend(addresses.map(|one| (target.clone(), one)));
            }
        }
    }
    (records, further)
}

#[cfg(test)]
mod tests;
