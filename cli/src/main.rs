//! Placeholder until the program's branch is merged: trains only.
use std::sync::atomic::AtomicBool;
#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    rayon::ThreadPoolBuilder::new().num_threads(a[0].parse().unwrap()).build_global().unwrap();
    let config = training::TrainConfig::read(std::path::Path::new(&a[1])).unwrap();
    let run = training::Run { config, out: a[2].clone().into(), data: a[3..].iter().map(Into::into).collect(), init: None, resume: true, provenance: Default::default() };
    let stop = AtomicBool::new(false);
    let r = training::train(&run, &candle_core::Device::Cpu, &stop, |e| if !matches!(e, training::Event::Step{step, ..} if step % 20 != 0) { println!("{}", serde_json::to_string(e).unwrap()) });
    println!("{r:?}");
}
