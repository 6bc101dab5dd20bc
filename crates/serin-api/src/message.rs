//! How the API types are declared: `message!` for structures, `choice!` for enumerations, `resource!` for kinds.
//!
//! The three macros keep what all types share in one place: fields are lower camel case and optional, what is at its
//! zero value is left out when written, enumerations are written by the names their API gives them, and a doc comment
//! is the description that the type's schema shows.

/// Declares structures of an API. Every field may be absent; absent is the type's default. That a schema demands a
/// field is said by `extend("x-required" = true)`.
macro_rules! message {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* })+) => {$(
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "crate::values::is_default")]
                pub $field: $type,
            )*
        }
    )+};
}

/// Declares enumerations of an API: each value with the name it is written as. The first is the default.
macro_rules! choice {
    ($($(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident = $first_text:literal,
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)*
    })+) => {$(
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $(#[$first_meta])*
            #[default]
            #[serde(rename = $first_text)]
            $first,
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value by its written name, in the order of declaration.
            pub const NAMES: &'static [&'static str] = &[$first_text, $($text),*];

            /// The name as written in an object.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_text,
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::NAMES })
            }
        }
    )+};
}

/// Makes a structure the fields of a kind.
macro_rules! resource {
    (@wide) => { false };
    (@wide wide) => { true };
    (@name $kind:ident) => { stringify!($kind) };
    (@name $kind:ident $name:literal) => { $name };
    (
        $kind:ident $(as $name:literal)?: $group:expr, [$($version:literal),+], $plural:literal
        $(short [$($short:literal),*])?
        $(columns [$(($column:literal, $type:literal, $path:literal, $description:literal $(, $wide:ident)?)),* $(,)?])?
        $(scope $scope:ident)?
        $(has_spec $has_spec:literal)?
    ) => {
        impl crate::Resource for $kind {
            const GROUP: &'static str = $group;
            const VERSIONS: &'static [&'static str] = &[$($version),+];
            const KIND: &'static str = resource!(@name $kind $($name)?);
            const PLURAL: &'static str = $plural;
            $(const SHORT_NAMES: &'static [&'static str] = &[$($short),*];)?
            $(const SCOPE: crate::Scope = crate::Scope::$scope;)?
            $(const HAS_SPEC: bool = $has_spec;)?
            $(const PRINTER_COLUMNS: &'static [crate::Printer] = &[$(crate::Printer {
                name: $column,
                r#type: $type,
                json_path: $path,
                description: $description,
                is_wide: resource!(@wide $($wide)?),
            }),*];)?
        }
    };
}
