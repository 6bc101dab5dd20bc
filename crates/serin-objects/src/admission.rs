//! What built-in admission plug-ins add to pods.
