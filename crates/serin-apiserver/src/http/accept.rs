//! Which form of an answer the client takes, and which form its body has.

use serin_objects::Status;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
}

/// What an answer is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects themselves.
    Whole,
    /// Rows for people.
    Table,
    /// Names and metadata only.
    Metadata,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) encoding: Encoding,
    pub(crate) shape: Shape,
}

impl Accept {
    /// The first form in an `Accept` header that the server can write; JSON where nothing is said.
    ///
    /// # Errors
    /// Fails with 406 where there is none.
    pub(crate) fn parse(header: &str, what: Answer) -> Result<Self, Status> {
        let plain = Self { encoding: Encoding::Json, shape: Shape::Whole };
        if header.trim().is_empty() {
            return Ok(plain);
        }
        header.split(',').find_map(|entry| Self::entry(entry, what)).ok_or_else(|| {
            Status::not_acceptable(match what {
                Answer::Watch => &["application/json", "application/yaml"],
                Answer::Objects | Answer::Other => &["application/json", "application/yaml"],
            })
        })
    }

    fn entry(entry: &str, what: Answer) -> Option<Self> {
        let mut parts = entry.split(';').map(str::trim);
        let encoding = match parts.next()? {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            // A browser or curl that asks for text gets JSON where the server has nothing else.
            "text/*" | "text/plain" if what == Answer::Other => Encoding::Json,
            _ => return None,
        };
        let mut shape = Shape::Whole;
        let (mut group, mut version) = ("meta.k8s.io", "v1");
        for part in parts {
            match part.split_once('=') {
                Some(("as", "Table")) => shape = Shape::Table,
                Some(("as", "PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                    shape = Shape::Metadata;
                }
                // Aggregated discovery is told apart by its own parser.
                Some(("as", _)) => return None,
                Some(("g", value)) => group = value,
                Some(("v", value)) => version = value,
                _ => {}
            }
        }
        let known = shape == Shape::Whole
            || (what != Answer::Other
                && group == "meta.k8s.io"
                && matches!(version, "v1" | "v1beta1"));
        known.then_some(Self { encoding, shape })
    }
}

/// What is being asked for, which decides what forms there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Objects or lists of them.
    Objects,
    /// A stream of changes.
    Watch,
    /// Something else: discovery, version.
    Other,
}

/// The form of aggregated discovery that a client takes before the old form: `v2` or `v2beta1`.
pub(crate) fn aggregated(header: &str) -> Option<&'static str> {
    for entry in header.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        if parts.next() != Some("application/json") {
            continue;
        }
        let parameters: Vec<&str> = parts.collect();
        if parameters.contains(&"as=APIGroupDiscoveryList")
            && parameters.contains(&"g=apidiscovery.k8s.io")
        {
            for version in ["v2", "v2beta1"] {
                if parameters.iter().any(|p| p.strip_prefix("v=") == Some(version)) {
                    return Some(version);
                }
            }
        } else if !parameters.iter().any(|p| p.starts_with("as=")) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expect: Option<(Encoding, Shape)>) {
        let found = Accept::parse(header, Answer::Objects).ok().map(|a| (a.encoding, a.shape));
        assert_eq!(found, expect, "{header}");
    }

    #[test]
    fn the_first_form_that_can_be_written_is_taken() {
        check("", Some((Encoding::Json, Shape::Whole)));
        check(
            "application/vnd.kubernetes.protobuf, application/json",
            Some((Encoding::Json, Shape::Whole)),
        );
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Some((Encoding::Json, Shape::Table)),
        );
        check(
            "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
            Some((Encoding::Json, Shape::Whole)),
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Some((Encoding::Json, Shape::Metadata)),
        );
        check("application/yaml", Some((Encoding::Yaml, Shape::Whole)));
    }

    #[test]
    fn a_client_that_takes_only_protobuf_is_refused() {
        check("application/vnd.kubernetes.protobuf", None);
    }

    #[test]
    fn aggregated_discovery_is_asked_for_by_version() {
        let new = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(aggregated(new), Some("v2"));
        assert_eq!(aggregated("application/json"), None);
    }
}
