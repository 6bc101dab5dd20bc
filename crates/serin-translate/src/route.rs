//! Rules of a VirtualService become routes of the model.
