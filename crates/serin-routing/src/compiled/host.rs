//! A virtual host, compiled.

use std::sync::Arc;

use super::reusable::Reusable;
use super::{CompiledRule, Sharing, Work};
use crate::index::{Domain, HasDomains, RuleIndex, Scratch};
use crate::model::{Route, VirtualHost};
use crate::request::{Request, View};

/// So many regular expressions of a table are built when it is compiled, which takes some 20 µs each. The rest are built at
/// their first use: with thousands, the index sees to it that few are ever asked.
const BUILT_AHEAD: usize = 1000;

/// A virtual host, compiled.
#[derive(Debug)]
pub(crate) struct CompiledHost {
    pub(crate) host: Arc<VirtualHost>,
    domains: Box<[Domain]>,
    pub(super) index: Arc<RuleIndex>,
    pub(super) rules: Vec<Arc<CompiledRule>>,
}

impl HasDomains for Arc<CompiledHost> {
    fn domains(&self) -> &[Domain] {
        &self.domains
    }
}

impl CompiledHost {
    /// The first rule that a request meets.
    pub(crate) fn rule<R: Request>(
        &self,
        view: &View<'_, R>,
        scratch: &mut Scratch,
    ) -> Option<&CompiledRule> {
        let number = self.index.find(&self.host.routes, view, scratch)?;
        self.rules.get(number).map(|rule| &**rule)
    }
}

/// Compiles the virtual hosts of a table.
pub(super) struct Compiler<'s> {
    /// What was compiled so far.
    pub(super) work: Work,
    /// Regular expressions that are yet to be built ahead.
    budget: usize,
    sharing: &'s mut Sharing,
}

impl<'s> Compiler<'s> {
    pub(super) fn new(sharing: &'s mut Sharing) -> Self {
        Self { work: Work::default(), budget: BUILT_AHEAD, sharing }
    }

    /// A virtual host that another table may have compiled already; otherwise with what its last version, `old`, has of it.
    pub(super) fn host(
        &mut self,
        old: Option<&Arc<CompiledHost>>,
        host: &Arc<VirtualHost>,
    ) -> Arc<CompiledHost> {
        if let Some(shared) = self.sharing.host(host) {
            return shared;
        }
        self.work.virtual_hosts += 1;
        let compiled = Arc::new(match old {
            Some(old) => self.next_host(old, Arc::clone(host)),
            None => self.first_host(Arc::clone(host)),
        });
        self.sharing.add_host(&compiled);
        compiled
    }

    fn first_host(&mut self, host: Arc<VirtualHost>) -> CompiledHost {
        let rules = host.routes.iter().map(|route| self.rule(route)).collect();
        let index = Arc::new(RuleIndex::new(&host.routes));
        CompiledHost { rules, domains: domains(&host), index, host }
    }

    fn next_host(&mut self, old: &CompiledHost, host: Arc<VirtualHost>) -> CompiledHost {
        let mut reusable = Reusable::new(&old.host.routes, Arc::as_ptr);
        let compile = |route: &Arc<Route>| match reusable.find(route) {
            Some(place) => Arc::clone(&old.rules[place]),
            None => self.rule(route),
        };
        let rules = host.routes.iter().map(compile).collect();
        let index = RuleIndex::next(&old.index, &old.host.routes, &host.routes);
        CompiledHost { rules, domains: domains(&host), index, host }
    }

    fn rule(&mut self, route: &Arc<Route>) -> Arc<CompiledRule> {
        self.work.rules += 1;
        Arc::new(CompiledRule::new(Arc::clone(route), &mut self.budget))
    }
}

fn domains(host: &VirtualHost) -> Box<[Domain]> {
    host.domains.iter().map(|domain| Domain::new(domain)).collect()
}
