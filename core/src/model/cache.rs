//! Keys and values of the tokens so far, in memory that is taken once.

use burn::tensor::{DType, Device, Tensor};

/// The cache of all decoder blocks.
///
/// Rows of a batch end at the same place; shorter ones have padding on their left
/// ([`Cache::starts`]).
#[derive(Debug, Clone)]
pub struct Cache {
    layers: Vec<LayerCache>,
    starts: Vec<usize>,
    length: usize,
    capacity: usize,
}

/// Keys and values of one block: `[batch, kv_heads, capacity, head_dim]` each.
#[derive(Debug, Clone)]
pub struct LayerCache {
    key: Tensor<4>,
    value: Tensor<4>,
}

/// What a [`Cache`] needs to know.
#[derive(Debug, Clone, Copy)]
pub struct CacheShape {
    /// Decoder blocks.
    pub layers: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Tokens that fit.
    pub capacity: usize,
}

impl Cache {
    /// An empty cache; `starts` gives each row's padding on the left, in tokens.
    #[must_use]
    pub fn new(shape: CacheShape, starts: Vec<usize>, dtype: DType, device: &Device) -> Self {
        let size = [starts.len(), shape.kv_heads, shape.capacity, shape.head_dim];
        let layers = (0..shape.layers)
            .map(|_| LayerCache {
                key: Tensor::zeros(size, (device, dtype)),
                value: Tensor::zeros(size, (device, dtype)),
            })
            .collect();
        Self { layers, starts, length: 0, capacity: shape.capacity }
    }

    /// Tokens held, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Tokens that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Padding on the left of each row.
    #[must_use]
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Repeats a cache of one row, so that several answers share one prompt.
    ///
    /// # Panics
    /// The cache has more than one row.
    #[must_use]
    pub fn fan_out(self, rows: usize) -> Self {
        assert_eq!(self.starts.len(), 1, "only a cache of one row can be shared");
        let repeat = |tensor: Tensor<4>| if rows == 1 { tensor } else { tensor.repeat_dim(0, rows) };
        let layers = self
            .layers
            .into_iter()
            .map(|layer| LayerCache { key: repeat(layer.key), value: repeat(layer.value) })
            .collect();
        Self { layers, starts: vec![self.starts[0]; rows], ..self }
    }

    /// Keeps some rows, in the given order.
    #[must_use]
    pub fn keep(self, rows: &[usize]) -> Self {
        let Some(device) = self.layers.first().map(|layer| layer.key.device()) else { return self };
        let indices: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let indices = Tensor::from_ints(indices.as_slice(), &device);
        let layers = self
            .layers
            .into_iter()
            .map(|layer| LayerCache {
                key: layer.key.select(0, indices.clone()),
                value: layer.value.select(0, indices.clone()),
            })
            .collect();
        Self { layers, starts: rows.iter().map(|row| self.starts[*row]).collect(), ..self }
    }

    /// Puts the rows of another cache under its own, so that all end at the same place, with room for `room`
    /// more tokens. What is padding in all rows is left out.
    ///
    /// # Panics
    /// The caches belong to different models.
    #[must_use]
    pub fn join(self, other: Self, room: usize) -> Self {
        let content = |cache: &Self| {
            let first = cache.starts.iter().copied().min().unwrap_or(0).min(cache.length);
            (first, cache.length - first)
        };
        let parts = [content(&self), content(&other)];
        let length = parts.iter().map(|(_, kept)| *kept).max().unwrap_or(0);
        let capacity = length + room;
        let starts = [&self, &other]
            .iter()
            .zip(parts)
            .flat_map(|(cache, (first, kept))| {
                cache.starts.iter().map(move |start| start - first + length - kept)
            })
            .collect();
        let stack = |upper: Tensor<4>, lower: Tensor<4>| {
            let [rows, kv_heads, _, head_dim] = upper.dims();
            let [more, ..] = lower.dims();
            let size = [rows + more, kv_heads, capacity, head_dim];
            let mut joined = Tensor::zeros(size, (&upper.device(), upper.dtype()));
            for (from, tensor, (first, kept)) in [(0, upper, parts[0]), (rows, lower, parts[1])] {
                let [count, ..] = tensor.dims();
                let place = [from..from + count, 0..kv_heads, length - kept..length, 0..head_dim];
                joined = joined.slice_assign(place, tensor.narrow(2, first, kept));
            }
            joined
        };
        let layers = self
            .layers
            .into_iter()
            .zip(other.layers)
            .map(|(upper, lower)| LayerCache {
                key: stack(upper.key, lower.key),
                value: stack(upper.value, lower.value),
            })
            .collect();
        Self { layers, starts, length, capacity }
    }

    /// Takes note that every block has stored `count` more tokens.
    pub fn advance(&mut self, count: usize) {
        self.length += count;
    }

    /// Stores the new tokens' keys and values of a block and returns all so far.
    ///
    /// # Shapes
    /// - `key`, `value`: `[batch, kv_heads, new, head_dim]`
    /// - output: twice `[batch, kv_heads, len + new, head_dim]`
    ///
    /// # Panics
    /// The tokens do not fit.
    pub fn store(&mut self, layer: usize, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, kv_heads, new, head_dim] = key.dims();
        let end = self.length + new;
        assert!(end <= self.capacity, "{end} tokens do not fit a cache of {}", self.capacity);
        let place = [0..batch, 0..kv_heads, self.length..end, 0..head_dim];
        let layer = &mut self.layers[layer];
        layer.key.inplace(|tensor| tensor.slice_assign(place.clone(), key));
        layer.value.inplace(|tensor| tensor.slice_assign(place, value));
        (layer.key.clone().narrow(2, 0, end), layer.value.clone().narrow(2, 0, end))
    }
}
