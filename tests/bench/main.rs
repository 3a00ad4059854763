//! What a question costs, stage by stage, on the processor.
//!
//! A random checkpoint of the `bench-110m` preset (about 110 million parameters, f32) and a photo of
//! 448 x 448 pixels. `cargo bench -p fine-r1-tests`

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use divan::Bencher;
use fine_r1_core::config::{ModelConfig, preset};
use fine_r1_core::image::{Patches, decode, preprocess};
use fine_r1_core::model::positions::Positions;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::model::{Cache, Prompt, VisionLanguageModel};
use image::{ImageFormat, Rgb, RgbImage};
use std::io::Cursor;
use std::sync::LazyLock;

/// Text tokens before and after the image.
const TEXT_TOKENS: usize = 30;
const IMAGE_TOKEN: u32 = 5;

struct Subject {
    model: VisionLanguageModel,
    config: ModelConfig,
    photo: RgbImage,
    patches: Patches,
    prompt: Prompt,
}

static SUBJECT: LazyLock<Subject> = LazyLock::new(|| {
    let preset = preset("bench-110m").expect("a known preset");
    let mut config = preset.model;
    config.tokens.image = IMAGE_TOKEN;
    let model = VisionLanguageModel::new(&config, &Device::flex()).materialize();
    let photo = RgbImage::from_fn(448, 448, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    let patches = preprocess(&photo, &preset.preprocessor.settings()).expect("a plain photo");
    let merged = patches.grid.merged(config.vision.spatial_merge_size);
    let mut ids = vec![7; TEXT_TOKENS];
    ids.extend(std::iter::repeat_n(IMAGE_TOKEN, merged));
    ids.extend(vec![8; TEXT_TOKENS]);
    let positions =
        Positions::of_prompt(&ids, IMAGE_TOKEN, &[patches.grid], config.vision.spatial_merge_size)
            .expect("as many places as patches");
    let prompt = Prompt { ids, positions, images: vec![patches.clone().into()], ..Prompt::default() };
    Subject { model, config, photo, patches, prompt }
});

impl Subject {
    fn prefill(&self, rows: usize) -> (Cache, Tensor<3>) {
        let embedded = self.model.embed(&[&self.prompt], PaddingSide::Left, &self.config);
        let mut cache = self.model.cache(self.prompt.ids.len() + 128, vec![0], &self.config);
        let states = self.model.read(embedded, Some(&mut cache), &self.config);
        (cache.fan_out(rows), states)
    }
}

fn main() {
    divan::main();
}

#[divan::bench]
fn decode_jpeg(bencher: Bencher) {
    let mut bytes = Cursor::new(Vec::new());
    SUBJECT.photo.write_to(&mut bytes, ImageFormat::Jpeg).expect("writes to memory");
    bencher.bench(|| decode(bytes.get_ref(), &Default::default()).expect("a whole photo"));
}

#[divan::bench]
fn preprocess_photo(bencher: Bencher) {
    let settings = preset("bench-110m").expect("a known preset").preprocessor.settings();
    bencher.bench(|| preprocess(&SUBJECT.photo, &settings).expect("a plain photo"));
}

#[divan::bench(sample_count = 10)]
fn vision_tower(bencher: Bencher) {
    bencher.bench(|| {
        let features = SUBJECT.model.look(&[&SUBJECT.patches], &SUBJECT.config).expect("one image");
        features.into_data()
    });
}

#[divan::bench(sample_count = 10)]
fn prefill(bencher: Bencher) {
    bencher.bench(|| SUBJECT.prefill(1).1.into_data());
}

/// One token of every sequence.
#[divan::bench(args = [1, 8], sample_count = 20)]
fn decode_step(bencher: Bencher, rows: usize) {
    let (cache, _) = SUBJECT.prefill(rows);
    let ids = vec![9; rows];
    let positions = vec![SUBJECT.prompt.positions.next; rows];
    bencher.with_inputs(|| cache.clone()).bench_values(|mut cache| {
        let states = SUBJECT.model.step(&ids, &positions, &mut cache, &SUBJECT.config);
        let [batch, _, hidden] = states.dims();
        SUBJECT.model.logits(states.reshape([batch, hidden])).argmax(1).into_data()
    });
}
