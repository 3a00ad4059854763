//! What runs the model, and why it is not something faster.

use crate::figures::size;
use crate::problem::sentence;
use fine_r1_web::protocol::DeviceReport;
use leptos::prelude::*;

/// The device in a badge, with its particulars and, where the processor stands in, the reason.
#[component]
pub fn DeviceBadge(
    /// What was found.
    device: DeviceReport,
) -> impl IntoView {
    let kind = match (device.kind.as_str(), device.is_software) {
        ("webgpu", false) => "WebGPU",
        ("webgpu", true) => "WebGPU, software",
        _ => "CPU",
    };
    let mut particulars = vec![device.name];
    if device.has_f16 {
        particulars.push("16 bits".to_owned());
    }
    if device.max_buffer_bytes > 0.0 {
        particulars.push(format!("buffers up to {}", size(device.max_buffer_bytes)));
    }
    particulars.retain(|text| !text.is_empty());
    let reason = device.fallback.map(|failure| {
        format!("WebGPU is not used: {} {}", sentence(&failure.message), sentence(&failure.hint))
    });
    view! {
        <span class="badge">{kind}</span>
        <span class="particulars">{particulars.join(" · ")}</span>
        {reason.map(|reason| view! { <span class="fallback">{reason}</span> })}
    }
}
