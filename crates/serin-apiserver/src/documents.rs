//! Documents about all resources, which are made once for each state of the catalog.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serin_objects::{Catalog, openapi};
use sha2::{Digest as _, Sha256};

use crate::discovery;
use crate::server::aggregate::Served;

/// What was made of the present catalog.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Made>);

#[derive(Default)]
struct Made {
    /// The catalog that the documents tell of. It is held, so that its address stands for it.
    of: Option<Arc<Catalog>>,
    documents: BTreeMap<String, (Bytes, String)>,
}

impl Documents {
    /// Aggregated discovery.
    pub(crate) fn discovery(
        &self,
        catalog: &Arc<Catalog>,
        served: &[Served],
        version: &str,
        core: bool,
    ) -> (Bytes, String) {
        // Other services may say something else the next time.
        let lists: String = served.iter().map(|it| it.list.to_string()).collect();
        let key = format!("discovery {version} {core} {lists}");
        self.document(catalog, key, || {
            discovery::aggregated(catalog, served, version, core).to_string()
        })
    }

    /// OpenAPI v2.
    pub(crate) fn v2(&self, catalog: &Arc<Catalog>) -> (Bytes, String) {
        self.document(catalog, "v2".into(), || openapi::v2(catalog).to_string())
    }

    /// OpenAPI v2 in protocol buffers.
    pub(crate) fn v2_protobuf(&self, catalog: &Arc<Catalog>) -> (Bytes, String) {
        self.document(catalog, "v2 protobuf".into(), || openapi::v2_protobuf(catalog))
    }

    /// The index of OpenAPI v3.
    pub(crate) fn v3_index(&self, catalog: &Arc<Catalog>) -> (Bytes, String) {
        self.document(catalog, "v3".into(), || openapi::v3_index(catalog).to_string())
    }

    /// OpenAPI v3 of `api/VERSION` or `apis/GROUP/VERSION`.
    pub(crate) fn v3(&self, catalog: &Arc<Catalog>, path: &str) -> Option<(Bytes, String)> {
        let (group, version) = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["api", version] => (String::new(), (*version).to_owned()),
            ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
            _ => return None,
        };
        catalog.version(&group, &version)?;
        let make = || openapi::v3(catalog, &group, &version).unwrap_or_default().to_string();
        Some(self.document(catalog, format!("v3 {path}"), make))
    }

    fn document<T: Into<Bytes>>(
        &self,
        catalog: &Arc<Catalog>,
        key: String,
        make: impl FnOnce() -> T,
    ) -> (Bytes, String) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !made.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, catalog)) {
            *made = Made { of: Some(Arc::clone(catalog)), documents: BTreeMap::new() };
        }
        if let Some(document) = made.documents.get(&key) {
            return document.clone();
        }
        let bytes: Bytes = make().into();
        let hash: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        made.documents.insert(key, (bytes.clone(), hash.clone()));
        (bytes, hash)
    }
}
