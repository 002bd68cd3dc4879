//! The screens, one file each.

pub mod desk;
pub mod dialogs;
pub mod picture;
