//! What every move waits for: people, quiet hours, the proxies, the other members of the group.

use super::advance::{Move, next_move};
use super::{DONE, Flow, GO_ON, Run};

impl Run<'_> {
    /// Whether anything may advance now.
    pub(super) fn may_move(&mut self) -> Flow {
        if self.state.is_held || self.plan.is_held {
            self.wait_for("Holding", "someone asked to stay at this step; the analysis goes on");
            return DONE;
        }
        if self.plan.quiet.iter().any(|quiet| quiet.holds(self.now)) {
            self.wait_for(
                "Waiting for the end of the quiet hours",
                "nothing advances during quiet hours",
            );
            return DONE;
        }
        GO_ON
    }

    /// Whether the routes of the step before have come to every proxy.
    pub(super) fn proxies_have_it(&mut self) -> Flow {
        let (Some(limit), Some(proxies)) = (self.plan.await_proxies, self.seen.proxies) else {
            return GO_ON;
        };
        if proxies.acked >= proxies.total || self.state.position == 0 {
            return GO_ON;
        }
        let waited = self.now.since(self.state.stepped);
        let reason = format!(
            "{} of {} proxies have the routes of the last step",
            proxies.acked, proxies.total
        );
        if waited >= limit {
            return self.failed(format!(
                "Halt {} advancement proxies missing for {waited}: {reason}",
                self.plan.full_name()
            ));
        }
        self.wait_for("Waiting for the proxies", &reason);
        DONE
    }

    /// Whether it is this member's turn.
    pub(super) fn group_lets(&mut self) -> Flow {
        let Some(group) = &self.plan.group else { return GO_ON };
        let mine = (self.state.position, group.order);
        let promotes = next_move(self.plan, &self.state) == Move::Promote;
        let mut running = self.seen.group.iter().filter(|member| member.is_running);
        let blocking = running
            .find(|other| !other.is_final && (promotes || (other.position, other.order) < mine));
        match blocking {
            None => GO_ON,
            Some(other) => {
                let reason =
                    format!("{} of the group {} takes this step first", other.name, group.name);
                self.wait_for("Waiting for the group", &reason);
                DONE
            }
        }
    }
}
