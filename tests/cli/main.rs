//! The program `trainer-native` as its users meet it: what it prints, and how it refuses.

mod bad_checkpoint;
mod bad_evaluate;
mod bad_flags;
mod bad_messages;
mod bad_photo;
mod bad_recipe;
mod evaluate;
mod evaluate_results;
mod export;
mod inspect;
mod manifest;
mod recognize;
mod score;

use fine_r1_tests::{program, scratch};
