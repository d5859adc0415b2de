//! A fixed piece of the warm request path, so and so often: `warm_path PART ROUNDS`. An instruction counter runs it twice with different numbers
//! of rounds; the difference is what a round costs, without start and end.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a measurement that cannot run may stop")]

mod warm;

use std::hint::black_box;

use warm::Warm;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (part, rounds) = match arguments.as_slice() {
        [part, rounds] => (part.as_str(), rounds.parse::<u32>().unwrap()),
        _ => panic!("warm_path PART ROUNDS"),
    };
    let warm = Warm::new();
    let round: fn(&Warm) = match part {
        "request" => |warm| {
            black_box(warm.request());
        },
        "record" => Warm::recorded,
        other => panic!("there is no part `{other}`"),
    };
    for _ in 0..rounds {
        round(black_box(&warm));
    }
    warm.close();
}
