//! Three-axis positions.

use fine_r1_core::image::Grid;
use fine_r1_core::model::positions::Positions;
use fine_r1_tests::{CASES, CHECKPOINTS, LayoutRun, ModelCase, PositionsFile, load, prepare, read_json};

#[test]
fn hand_made_layouts_have_the_positions_of_transformers() {
    const TEXT: u32 = 1;
    const IMAGE: u32 = 422;
    let file: PositionsFile = read_json("cases/positions.json");
    for row in &file.layouts {
        let (mut ids, mut grids) = (Vec::new(), Vec::new());
        for run in &row.layout {
            match run {
                LayoutRun::Text(count) => ids.extend(std::iter::repeat_n(TEXT, *count)),
                LayoutRun::Image([t, h, w]) => {
                    let grid = Grid { t: *t, h: *h, w: *w };
                    ids.extend(std::iter::repeat_n(IMAGE, grid.merged(file.spatial_merge_size)));
                    grids.push(grid);
                }
            }
        }
        let found = Positions::of_prompt(&ids, IMAGE, &grids, file.spatial_merge_size)
            .expect("places and images match");
        assert_eq!(found.axes, row.position_ids, "{:?}", row.layout);
        assert_eq!(found.next, ids.len() as i32 + row.rope_delta, "{:?}", row.layout);
    }
}

#[test]
fn prompts_have_the_positions_of_transformers() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let prompt = prepare(&recognizer, &expected.messages).prompt;
            assert_eq!(prompt.positions.axes, expected.position_ids, "{checkpoint} {case}");
            let next = expected.input_ids.len() as i32 + expected.rope_delta;
            assert_eq!(prompt.positions.next, next, "{checkpoint} {case}");
        }
    }
}
