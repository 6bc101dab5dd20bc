//! Live pages: whoever follows one gets it again whenever it has become another.
//!
//! A page is made anew once a second for each follower, and sent only if it differs. The points of charts come beside it, only
//! those that are new. Followers are few (a semaphore), and one that is slow gets what is newest when it is ready.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::page::Page;
use crate::world::World;

/// A word is sent after so many silent seconds, so that a connection that is gone is noticed.
const SILENCE: u32 = 15;

struct Follower {
    world: Arc<World>,
    page: Page,
    ticks: watch::Receiver<u64>,
    /// What was sent last.
    sent: u64,
    /// The time of the last point that was sent, in seconds.
    last_point: f64,
    silent: u32,
    _permit: OwnedSemaphorePermit,
}

/// The events of a page; `None` if too many follow already.
pub(crate) fn follow(world: &Arc<World>, page: Page) -> Option<impl Stream<Item = Bytes> + use<>> {
    let permit = Arc::clone(&world.followers).try_acquire_owned().ok()?;
    let ticks = world.ticks();
    let follower = Follower {
        world: Arc::clone(world),
        page,
        ticks,
        sent: 0,
        last_point: 0.0,
        silent: 0,
        _permit: permit,
    };
    Some(futures_util::stream::unfold(follower, |mut follower| async move {
        let bytes = follower.next().await?;
        Some((bytes, follower))
    }))
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // The first event comes at once: the page may have changed since it was loaded.
            if self.sent != 0 {
                self.ticks.changed().await.ok()?;
            }
            let mut text = String::new();
            self.points(&mut text);
            let view = self.page.view(&self.world).await;
            let html = view.html().into_string();
            let mut hasher = DefaultHasher::new();
            html.hash(&mut hasher);
            let hash = hasher.finish().max(1);
            if hash != self.sent {
                self.sent = hash;
                event(&mut text, "main", &html);
            }
            self.silent += 1;
            if text.is_empty() && self.silent < SILENCE {
                continue;
            }
            if text.is_empty() {
                text.push_str(": nothing new\n\n");
            }
            self.silent = 0;
            return Some(text.into());
        }
    }

    /// The points of a release's charts that are new.
    fn points(&mut self, text: &mut String) {
        let parts = self.page.parts();
        let ["releases", namespace, name] = parts[..] else { return };
        let columns = self.world.history().columns(namespace, name, self.last_point);
        let Some(last) = columns.last_time() else { return };
        self.last_point = last;
        event(text, "points", &json!(columns).to_string());
    }
}

/// Writes an event. Each line of its data is marked as such.
fn event(text: &mut String, name: &str, data: &str) {
    text.push_str("event: ");
    text.push_str(name);
    for line in data.split('\n') {
        text.push_str("\ndata: ");
        text.push_str(line);
    }
    text.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_data_stay_together() {
        let mut text = String::new();
        event(&mut text, "main", "<pre>a\nb</pre>");
        assert_eq!(text, "event: main\ndata: <pre>a\ndata: b</pre>\n\n");
    }
}
