//! The parts of the page that take each other's place.

mod landing;
mod loading;
mod workbench;

pub use landing::Landing;
pub use loading::Loading;
pub use workbench::Workbench;
