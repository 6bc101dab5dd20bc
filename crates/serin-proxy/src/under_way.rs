//! What is under way to pods of this machine: one that leaves should be stopped only when nothing comes to it any more.
//!
//! A try counts from the choice of its endpoint on, before there is a connection: whoever was chosen just before it left is still
//! going to be asked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::oneshot;

/// The tries of one core, by the pod's address.
#[derive(Default)]
pub(crate) struct UnderWay(RefCell<HashMap<IpAddr, Rc<Visitors>>>);

/// Those to one pod.
#[derive(Default)]
pub(crate) struct Visitors {
    count: Cell<usize>,
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

/// One of them, while this lives.
pub(crate) struct Visitor(Rc<Visitors>);

impl UnderWay {
    /// Those to an address.
    pub(crate) fn to(&self, address: IpAddr) -> Rc<Visitors> {
        Rc::clone(self.0.borrow_mut().entry(address).or_default())
    }

    /// Tells when there are none to an address.
    pub(crate) fn tell_when_over(&self, address: IpAddr, done: oneshot::Sender<()>) {
        match self.0.borrow().get(&address) {
            Some(visitors) if visitors.count.get() > 0 => visitors.waiting.borrow_mut().push(done),
            // Whoever asked may have gone.
            _ => drop(done.send(())),
        }
    }

    /// Forgets addresses that nobody knows any more.
    pub(crate) fn tidy(&self) {
        self.0.borrow_mut().retain(|_, visitors| Rc::strong_count(visitors) > 1);
    }
}

impl Visitor {
    pub(crate) fn new(visitors: &Rc<Visitors>) -> Self {
        visitors.count.set(visitors.count.get() + 1);
        Self(Rc::clone(visitors))
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let visitors = &self.0;
        visitors.count.set(visitors.count.get() - 1);
        if visitors.count.get() == 0 {
            for done in visitors.waiting.borrow_mut().drain(..) {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_when_the_last_is_over() {
        let address = IpAddr::from([10, 244, 0, 1]);
        let under_way = UnderWay::default();
        let wait = || {
            let (done, told) = oneshot::channel();
            under_way.tell_when_over(address, done);
            told
        };
        assert!(wait().try_recv().is_ok(), "nobody has ever gone there");
        let first = Visitor::new(&under_way.to(address));
        let second = Visitor::new(&under_way.to(address));
        let mut told = wait();
        drop(first);
        assert!(told.try_recv().is_err());
        under_way.tidy();
        drop(second);
        assert!(told.try_recv().is_ok());
        under_way.tidy();
        assert!(under_way.0.borrow().is_empty());
    }
}
