//! Precision of weights in memory and on disk.

use super::WeightsError;
use burn::tensor::{DType, TensorData};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

/// A floating-point precision for weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, 10 of them mantissa.
    F16,
    /// 16 bits, 7 of them mantissa, with the range of f32.
    Bf16,
}

impl Precision {
    /// As burn calls it.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    /// As `torch_dtype` in `config.json` calls it.
    #[must_use]
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// From what `torch_dtype` says.
    #[must_use]
    pub fn from_torch_name(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::Bf16].into_iter().find(|precision| precision.torch_name() == name)
    }

    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Whether little-endian bytes of this precision are all finite numbers.
    pub(super) fn is_finite(self, bytes: &[u8]) -> bool {
        // Exponents of ones alone stand for infinity and NaN.
        let halves = |exponent: u16| {
            let (numbers, _) = bytes.as_chunks::<2>();
            numbers.iter().all(|number| u16::from_le_bytes(*number) & exponent != exponent)
        };
        match self {
            Self::F32 => {
                let (numbers, _) = bytes.as_chunks::<4>();
                numbers.iter().all(|number| f32::from_le_bytes(*number).is_finite())
            }
            Self::F16 => halves(0x7c00),
            Self::Bf16 => halves(0x7f80),
        }
    }

    pub(super) fn stored(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// The precision of a stored tensor.
    ///
    /// # Errors
    /// The tensor is of a type that holds no weights.
    pub fn of_stored(name: &str, dtype: Dtype) -> Result<Self, WeightsError> {
        match dtype {
            Dtype::F32 => Ok(Self::F32),
            Dtype::F16 => Ok(Self::F16),
            Dtype::BF16 => Ok(Self::Bf16),
            other => Err(WeightsError::Precision { tensor: name.to_owned(), found: format!("{other:?}") }),
        }
    }

    /// Little-endian bytes of this precision as data of another.
    #[must_use]
    pub fn convert(self, bytes: &[u8], shape: &[usize], to: Self) -> TensorData {
        let shape = shape.to_vec();
        let halves = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let values: Vec<f32> = match self {
            Self::F32 => bytes
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect(),
            Self::F16 if to == self => {
                let values: Vec<f16> = halves().map(f16::from_bits).collect();
                return TensorData::new(values, shape);
            }
            Self::Bf16 if to == self => {
                let values: Vec<bf16> = halves().map(bf16::from_bits).collect();
                return TensorData::new(values, shape);
            }
            Self::F16 => {
                let mut values = vec![0.0; bytes.len() / 2];
                halves().map(f16::from_bits).collect::<Vec<_>>().convert_to_f32_slice(&mut values);
                values
            }
            Self::Bf16 => halves().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
        };
        match to {
            Self::F32 => TensorData::new(values, shape),
            Self::F16 => TensorData::new(values.into_iter().map(f16::from_f32).collect::<Vec<_>>(), shape),
            Self::Bf16 => TensorData::new(values.into_iter().map(bf16::from_f32).collect::<Vec<_>>(), shape),
        }
    }

    /// Data of any float precision as little-endian bytes of this one.
    pub(super) fn encode(self, data: TensorData) -> Vec<u8> {
        let data = data.convert_dtype(DType::F32);
        let values = data.as_slice::<f32>().unwrap_or_default().iter().copied();
        match self {
            Self::F32 => values.flat_map(f32::to_le_bytes).collect(),
            Self::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
            Self::Bf16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
        }
    }
}
