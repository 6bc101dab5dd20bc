//! Users who keep asking: each with a cookie of its own, so that it can be seen who stays with which version.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::{ANSWER, PATIENCE};
use crate::load::Progress;

/// So many users.
pub(super) const USERS: usize = 200;
/// How often somebody asks who waits for the first answer.
const PACE: Duration = Duration::from_millis(100);
/// The longest answer that is read.
const LONGEST: usize = 1 << 20;

/// What users ask for, and how the version shows in the answer.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) url: String,
    /// The host that is asked for, if it is not the address.
    pub(super) host: Option<&'static str>,
    /// Another header of each request.
    pub(super) header: Option<(&'static str, &'static str)>,
    pub(super) version: fn(&Answer) -> Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// Users who ask until this is dropped.
pub(super) struct Crowd {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

/// What the users have seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Which answers are counted now: those to what is asked in this round.
    round: u64,
    /// Answers by version since this was last taken.
    shares: BTreeMap<String, u64>,
    users: Vec<User>,
    /// How often somebody who had met a later version met an earlier one.
    went_back: u64,
}

#[derive(Clone, Debug, Default)]
struct User {
    cookie: Option<String>,
    version: Option<String>,
}

impl Question {
    /// Waits until there is an answer: the proxies hear of pods a moment after the pods are ready.
    pub(super) async fn until_answered(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match ask(self, None).await {
                Ok(answer) if answer.status < 500 => return Ok(()),
                Ok(answer) if Instant::now() > until => {
                    bail!("{} answers {}", self.url, answer.status)
                }
                Err(error) if Instant::now() > until => {
                    return Err(error).with_context(|| self.url.clone());
                }
                _ => sleep(PACE).await,
            }
        }
    }
}

impl Crowd {
    /// Users who ask so many questions a second together, from the first answer on.
    pub(super) async fn asking(
        question: &Question,
        rate: u32,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<Self> {
        question.until_answered().await?;
        let users = vec![User::default(); USERS];
        let seen =
            Arc::new(Mutex::new(Seen { round: 0, shares: BTreeMap::new(), users, went_back: 0 }));
        let mut tasks = JoinSet::new();
        let begin = Instant::now();
        let pace = Duration::from_secs_f64(USERS as f64 / f64::from(rate));
        for index in 0..USERS {
            let (seen, progress) = (Arc::clone(&seen), Arc::clone(progress));
            let question = question.clone();
            tasks.spawn(async move {
                // One after the other, not all at once.
                let mut next = interval_at(begin + pace.mul_f64(index as f64 / USERS as f64), pace);
                next.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    next.tick().await;
                    let (round, cookie) = lock(&seen).question_of(index);
                    let answer = ask(&question, cookie.as_deref()).await;
                    match answer {
                        Ok(answer) => {
                            progress.count(answer.status, answer.body.as_bytes());
                            lock(&seen).take(index, round, &answer, (question.version)(&answer));
                        }
                        Err(error) => progress.fail(format!("{error:#}")),
                    }
                }
            });
        }
        Ok(Self { seen, _tasks: tasks })
    }

    /// Answers by version since this was last asked.
    pub(super) fn shares(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut lock(&self.seen).shares)
    }

    /// Answers by version to what is asked from now on, for this time and until there are some.
    pub(super) async fn answers_for(&self, time: Duration) -> BTreeMap<String, u64> {
        lock(&self.seen).begin_round();
        let until = Instant::now() + PATIENCE;
        sleep(time).await;
        while lock(&self.seen).shares.is_empty() && Instant::now() < until {
            sleep(PACE).await;
        }
        self.shares()
    }

    /// How many users met this version last.
    pub(super) fn users_of(&self, version: &str) -> usize {
        let seen = lock(&self.seen);
        seen.users.iter().filter(|it| it.version.as_deref() == Some(version)).count()
    }

    /// How many users have a cookie.
    pub(super) fn with_cookie(&self) -> usize {
        lock(&self.seen).users.iter().filter(|it| it.cookie.is_some()).count()
    }

    /// How often somebody who had met a later version met an earlier one.
    pub(super) fn went_back(&self) -> u64 {
        lock(&self.seen).went_back
    }
}

impl Seen {
    /// What a user asks with, and in which round.
    fn question_of(&self, index: usize) -> (u64, Option<String>) {
        (self.round, self.users[index].cookie.clone())
    }

    /// From now on only answers count to what is asked from now on.
    fn begin_round(&mut self) {
        self.round += 1;
        self.shares.clear();
    }

    fn take(&mut self, index: usize, round: u64, answer: &Answer, version: Option<String>) {
        let user = &mut self.users[index];
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let Ok(cookie) = cookie.to_str() else { continue };
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let is_taken_back = attributes.split(';').any(|it| it.trim() == "Max-Age=0");
            user.cookie = (!is_taken_back).then(|| pair.trim().to_owned());
        }
        let Some(version) = version else { return };
        if round == self.round {
            *self.shares.entry(version.clone()).or_default() += 1;
        }
        self.went_back += u64::from(user.version.as_ref().is_some_and(|last| *last > version));
        user.version = Some(version);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One question on a connection of its own.
pub(super) async fn ask(question: &Question, cookie: Option<&str>) -> anyhow::Result<Answer> {
    timeout(ANSWER, exchange(question, cookie)).await.context("no answer in time")?
}

async fn exchange(question: &Question, cookie: Option<&str>) -> anyhow::Result<Answer> {
    let uri: Uri = question.url.parse()?;
    let authority = uri.authority().context("the address has no host")?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host(), port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let host = question.host.unwrap_or(authority.as_str());
    let mut request = Request::get(path).header(header::HOST, host);
    if let Some((name, value)) = question.header {
        request = request.header(name, value);
    }
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let (head, body) =
        sender.send_request(request.body(Empty::<Bytes>::new())?).await?.into_parts();
    let body = Limited::new(body, LONGEST).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cookie: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = cookie {
            headers.insert(header::SET_COOKIE, cookie.parse().unwrap());
        }
        Answer { status: 200, headers, body: String::new() }
    }

    #[test]
    fn users_keep_their_cookies_until_they_are_taken_back_and_going_back_is_counted() {
        let users = vec![User::default(); 2];
        let mut seen = Seen { round: 0, shares: BTreeMap::new(), users, went_back: 0 };
        seen.take(0, 0, &answer(Some("version=v2; Path=/; Max-Age=60")), Some("v2".to_owned()));
        seen.take(1, 0, &answer(None), Some("v1".to_owned()));
        assert_eq!(seen.question_of(0), (0, Some("version=v2".to_owned())));
        seen.take(0, 0, &answer(Some("version=v2; Path=/; Max-Age=0")), Some("v1".to_owned()));
        seen.take(1, 0, &answer(None), Some("v2".to_owned()));
        assert_eq!((seen.question_of(0), seen.went_back), ((0, None), 1));
        assert_eq!(seen.shares, BTreeMap::from([("v1".to_owned(), 2), ("v2".to_owned(), 2)]));
        seen.begin_round();
        seen.take(0, 0, &answer(None), Some("v1".to_owned()));
        seen.take(1, 1, &answer(None), Some("v2".to_owned()));
        assert_eq!(seen.shares, BTreeMap::from([("v2".to_owned(), 1)]));
    }
}
