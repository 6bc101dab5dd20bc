//! Messages of DNS (RFC 1035): reading a question, writing an answer.

use std::net::Ipv4Addr;

pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const PTR: u16 = 12;
pub(super) const SRV: u16 = 33;
pub(super) const ANY: u16 = 255;
const OPT: u16 = 41;

/// All is well.
pub(super) const NO_ERROR: u8 = 0;
/// The server failed.
pub(super) const SERVER_FAILURE: u8 = 2;
/// There is no such name.
pub(super) const NO_NAME: u8 = 3;

/// What every datagram has room for.
const SMALL: usize = 512;
const HEADER: usize = 12;
/// How many seconds an answer is good for: as little as CoreDNS' default, as endpoints come and go.
const TTL: u32 = 5;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// In lower case, without a dot at the end.
    pub name: String,
    /// What is asked for.
    pub kind: u16,
    /// Where it ends in the message.
    end: usize,
}

/// An answer's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// An address.
    A(Ipv4Addr),
    /// Another name.
    Cname(String),
    /// The name of an address.
    Ptr(String),
    /// A port at a name.
    Srv(u16, String),
}

/// Reads the one question of a message; nothing where it is none.
pub(super) fn question(message: &[u8]) -> Option<Question> {
    let counts = message.get(4..6)?;
    let flags = *message.get(2)?;
    // A response, or another operation than a query.
    if flags & 0xF8 != 0 || counts != [0, 1] {
        return None;
    }
    let mut at = HEADER;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {
                let label = message.get(at..at + length)?;
                labels.push(String::from_utf8_lossy(label).to_lowercase());
                at += length;
            }
            _ => return None,
        }
    }
    let kind = u16::from_be_bytes(*message.get(at..)?.first_chunk()?);
    let class = u16::from_be_bytes(*message.get(at + 2..)?.first_chunk()?);
    (class == 1).then(|| Question { name: labels.join("."), kind, end: at + 4 })
}

/// An answer to a question: its records, the further ones, and where there are none, whose name it would be.
pub(super) fn answer(
    message: &[u8],
    question: &Question,
    code: u8,
    records: &[(String, Data)],
    further: &[(String, Data)],
    zone: &str,
) -> Vec<u8> {
    let authority = u16::from(records.is_empty());
    let mut out = head(message, code, 0x84);
    let count = |records: &[(String, Data)]| u16::try_from(records.len()).unwrap_or(u16::MAX);
    out.extend(count(records).to_be_bytes());
    out.extend(authority.to_be_bytes());
    let opt = has_opt(message, question);
    out.extend((count(further) + u16::from(opt)).to_be_bytes());
    out.extend(message.get(HEADER..question.end).unwrap_or_default());
    for (name, data) in records {
        record(&mut out, question, name, data);
    }
    if authority == 1 {
        start_of_authority(&mut out, zone);
    }
    for (name, data) in further {
        record(&mut out, question, name, data);
    }
    if opt {
        // The root, OPT, 1232 bytes of room, no extensions.
        out.extend([0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0]);
    }
    out
}

/// A refusal of a question with a code.
pub(super) fn refuse(message: &[u8], code: u8) -> Option<Vec<u8>> {
    let question = question(message)?;
    let mut out = head(message, code, 0x80);
    out.extend([0; 6]);
    out.extend(message.get(HEADER..question.end)?);
    Some(out)
}

/// ID, flags and the count of questions.
fn head(message: &[u8], code: u8, flags: u8) -> Vec<u8> {
    let mut out = message.get(..2).unwrap_or_default().to_vec();
    let wants_recursion = message.get(2).copied().unwrap_or(0) & 1;
    out.push(flags | wants_recursion);
    out.push(0x80 | code);
    out.extend([0, 1]);
    out
}

/// Whether the question has an OPT record: it stands alone behind the question, with the root as its name.
fn has_opt(message: &[u8], question: &Question) -> bool {
    message.get(10..12) == Some(&[0, 1])
        && message.get(question.end..question.end + 3) == Some(&[0, 0, 41])
}

/// How many bytes the asker takes in a datagram.
pub(super) fn room(message: &[u8]) -> usize {
    let size = question(message).filter(|question| has_opt(message, question)).and_then(|asked| {
        let size = message.get(asked.end + 3..)?.first_chunk()?;
        Some(usize::from(u16::from_be_bytes(*size)))
    });
    debug_assert_eq!(OPT, 41);
    size.unwrap_or(SMALL).max(SMALL)
}

/// Cuts an answer that has no room, and says so.
pub(super) fn fit(mut answer: Vec<u8>, room: usize) -> Vec<u8> {
    if answer.len() <= room {
        return answer;
    }
    // Without the records, and marked as cut: the asker comes again by a connection.
    if let Some(flags) = answer.get_mut(2) {
        *flags |= 2;
    }
    for byte in answer.iter_mut().skip(6).take(6) {
        *byte = 0;
    }
    let mut end = HEADER;
    while let Some(length) = answer.get(end).copied().filter(|length| *length > 0) {
        end += usize::from(length) + 1;
    }
    answer.truncate(end + 5);
    answer
}

fn record(out: &mut Vec<u8>, question: &Question, name: &str, data: &Data) {
    if name == question.name {
        out.extend([0xC0, 12]);
    } else {
        name_of(out, name);
    }
    let mut value = Vec::new();
    let kind = match data {
        Data::A(address) => {
            value.extend(address.octets());
            A
        }
        Data::Cname(target) => {
            name_of(&mut value, target);
            CNAME
        }
        Data::Ptr(target) => {
            name_of(&mut value, target);
            PTR
        }
        Data::Srv(port, target) => {
            value.extend([0, 0, 0, 100]);
            value.extend(port.to_be_bytes());
            name_of(&mut value, target);
            SRV
        }
    };
    rest(out, kind, &value);
}

fn start_of_authority(out: &mut Vec<u8>, zone: &str) {
    name_of(out, zone);
    let mut value = Vec::new();
    name_of(&mut value, &format!("ns.dns.{zone}"));
    name_of(&mut value, &format!("hostmaster.{zone}"));
    for number in [1_u32, 7200, 1800, 86400, TTL] {
        value.extend(number.to_be_bytes());
    }
    rest(out, SOA, &value);
}

fn rest(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out.extend(TTL.to_be_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(value);
}

fn name_of(out: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let bytes = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
        out.push(u8::try_from(bytes.len()).unwrap_or(63));
        out.extend(bytes);
    }
    out.push(0);
}
