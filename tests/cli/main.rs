//! The program `trainer-native` as its users meet it: what it prints, and how it refuses.

mod adapter;
mod bad_adapter;
mod bad_checkpoint;
mod bad_evaluate;
mod bad_flags;
mod bad_messages;
mod bad_photo;
mod bad_recipe;
mod bad_rl;
mod cot;
mod cot_facts;
mod cot_failures;
mod cot_layouts;
mod cot_server;
mod estimate;
mod evaluate;
mod evaluate_results;
mod export;
mod gpu_check;
mod inspect;
mod loading;
mod manifest;
mod recognize;
mod score;
mod sft_data;
mod sft_data_bad;
mod triplets;
mod unusual_checkpoint;

use fine_r1_tests::{program, scratch};
