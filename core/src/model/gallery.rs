//! The images of some prompts, each once: what several prompts show is looked at once for all of them.

use super::Prompt;
use crate::config::VisionConfig;
use crate::image::Patches;
use std::ops::Range;
use std::sync::Arc;

/// Images in the order in which they first appear, and which of them every place of the prompts shows.
///
/// Images are told apart by where they lie in memory, not by their pixels: two copies are two images.
#[derive(Debug)]
pub struct Gallery<'prompts> {
    images: Vec<&'prompts Arc<Patches>>,
    /// The image at every place, prompt after prompt.
    places: Vec<usize>,
    /// Where every image's features begin, and where those of the last one end.
    starts: Vec<usize>,
}

impl<'prompts> Gallery<'prompts> {
    /// The images of these prompts.
    #[must_use]
    pub fn new(prompts: &[&'prompts Prompt], config: &VisionConfig) -> Self {
        let mut gallery = Self { images: Vec::new(), places: Vec::new(), starts: vec![0] };
        let mut end = 0;
        for image in prompts.iter().flat_map(|prompt| &prompt.images) {
            let known = gallery.images.iter().position(|known| Arc::ptr_eq(known, image));
            gallery.places.push(known.unwrap_or(gallery.images.len()));
            if known.is_none() {
                end += image.grid.merged(config.spatial_merge_size);
                gallery.images.push(image);
                gallery.starts.push(end);
            }
        }
        gallery
    }

    /// The images, each once.
    #[must_use]
    pub fn images(&self) -> &[&'prompts Arc<Patches>] {
        &self.images
    }

    /// Which features are those of an image.
    ///
    /// # Panics
    /// There are fewer images.
    #[must_use]
    pub fn range(&self, image: usize) -> Range<usize> {
        self.starts[image]..self.starts[image + 1]
    }

    /// Features of all images.
    #[must_use]
    pub fn merged(&self) -> usize {
        self.starts[self.images.len()]
    }

    /// The feature of every place for one, in the order of the prompts.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().flat_map(|image| self.range(*image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;
    use crate::image::Grid;

    #[test]
    fn an_image_that_two_prompts_show_has_features_once() {
        let config = preset("nano").expect("a preset").model.vision;
        let image = |w: usize| {
            let grid = Grid { t: 1, h: 2, w };
            Arc::new(Patches { values: Vec::new(), grid, patch_dim: config.patch_dim() })
        };
        let (wide, narrow) = (image(6), image(2));
        let showing = |images: Vec<Arc<Patches>>| Prompt { images, ..Prompt::default() };
        let prompts = [
            showing(vec![wide.clone()]),
            showing(vec![narrow, wide.clone()]),
            showing(Vec::new()),
            showing(vec![wide, image(2)]),
        ];
        let gallery = Gallery::new(&prompts.iter().collect::<Vec<_>>(), &config);
        assert_eq!(gallery.images().len(), 3, "a copy is another image");
        assert_eq!(gallery.merged(), 5);
        assert_eq!(gallery.rows().collect::<Vec<_>>(), [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 4]);
    }
}
