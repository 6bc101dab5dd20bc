//! Who owns which field: `metadata.managedFields`.
