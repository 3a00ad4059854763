//! The large parts of the page: what comes before a model is there, and where one works.

mod landing;
mod loading;
mod workbench;

pub use landing::Landing;
pub use loading::Loading;
pub use workbench::Workbench;
