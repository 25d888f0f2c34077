// The kernels of training on NVIDIA GPUs: see `gpu.rs`, which launches them, for what they make together.
//
// Signals are [clip][row][channel] in half precision, channels a multiple of 16; products run on the
// tensor cores and add up in single precision. A block has 256 threads, 8 warps. Every kernel takes one
// `Args`, the twin of the struct in `gpu.rs`.

#ifdef EMULATED
#include "emulated.h"
#else
#include <cuda_fp16.h>
#include <mma.h>
extern __shared__ __align__(128) unsigned char shared_memory[];
#define SHARED(name) unsigned char *name = shared_memory
#endif

using namespace nvcuda;

#define THREADS 256
#define WARPS 8
// config.rs, LEAKY_SLOPE.
#define LEAKY_SLOPE 0.2f

enum Activation { PLAIN, LEAKY, LEAKY_PLUS, FILM };
enum Through { NOTHING, THROUGH_LEAKY, THROUGH_FILM };

struct Args {
    // The input, and what its activation takes: film [clip][row][2 ci] in half, shift first, or a value
    // a channel [clip][ci] in single precision.
    const half *x;
    const void *aux;
    // Packed weights [tap][co][ci], bias [co].
    const half *w;
    const float *bias;
    // Added at the end: [clip][row / add_repeat][co].
    const half *add;
    half *out;
    // The first channel alone, in single precision.
    float *first_channel;
    // What a gradient goes back through: the activation's input, its film, the film's gradient.
    const half *tx;
    const half *tfilm;
    half *dfilm;
    // The gradient of the output; where weights' gradients are added up; a sum of sizes.
    const half *dy;
    float *dw;
    float *dbias;
    float *scale;
    // Arrays in single precision that are read.
    const float *values;
    unsigned batch, rows, ci, co, taps, dilation;
    int left;
    unsigned keep, repeat, activation, through, first, tkeep, add_repeat;
    // Channels without padding; rows a tile; blocks of 16 channels a block takes; values in all.
    unsigned real_ci, real_co, tile_rows, block_ci, block_co, count;
};

__device__ inline float leaky(float v) { return fmaxf(v, v * LEAKY_SLOPE); }
__device__ inline float slope(float v) { return v > 0.0f ? 1.0f : LEAKY_SLOPE; }

// Eight values of half precision, moved at once.
struct Eight {
    uint4 raw;
    __device__ half *values() { return reinterpret_cast<half *>(&raw); }
};

__device__ inline Eight load8(const half *from) {
    Eight e;
    e.raw = *reinterpret_cast<const uint4 *>(from);
    return e;
}

__device__ inline void store8(half *to, const float *v) {
    Eight e;
    for (int i = 0; i < 8; i++) e.values()[i] = half(v[i]);
    *reinterpret_cast<uint4 *>(to) = e.raw;
}

// Writes rows `from`..`from + count` of `clip` and channels `c0`..`c0 + channels` of the activated input
// to `out`, whose rows are `stride` apart. Rows outside the clip are zeros.
__device__ void stage(const Args &a, int clip, int from, int count, int c0, int channels, half *out,
                      int stride) {
    const int chunks = channels / 8;
    const int stored = a.rows * a.keep / a.repeat;
    const half *x_of_clip = a.x + (size_t)clip * stored * a.ci + c0;
    // Division is slow: each turn goes on from the last.
    const int more_rows = THREADS / chunks, more_chunks = THREADS % chunks;
    int row = threadIdx.x / chunks, chunk = threadIdx.x % chunks;
    for (; row < count; row += more_rows, chunk += more_chunks) {
        if (chunk >= chunks) {
            chunk -= chunks;
            if (++row >= count) break;
        }
        const int c = chunk * 8;
        const int at = from + row;
        half *to = out + row * stride + c;
        float v[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (at >= 0 && at < (int)a.rows) {
            const unsigned source = a.repeat == 1 ? at * a.keep : (unsigned)at / a.repeat;
            Eight x = load8(x_of_clip + source * a.ci + c);
            if (a.activation == PLAIN) {
                *reinterpret_cast<uint4 *>(to) = x.raw;
                continue;
            }
            for (int k = 0; k < 8; k++) v[k] = float(x.values()[k]);
            if (a.activation == FILM) {
                const half *film = reinterpret_cast<const half *>(a.aux) +
                                   ((size_t)clip * a.rows + at) * 2 * a.ci + c0 + c;
                Eight shift = load8(film), scale = load8(film + a.ci);
                for (int k = 0; k < 8; k++)
                    v[k] = float(scale.values()[k]) * v[k] + float(shift.values()[k]);
            }
            for (int k = 0; k < 8; k++) v[k] = leaky(v[k]);
            if (a.activation == LEAKY_PLUS) {
                const float *plus = reinterpret_cast<const float *>(a.aux) + (size_t)clip * a.ci + c0 + c;
                for (int k = 0; k < 8; k++) v[k] += plus[k];
            }
        }
        store8(to, v);
    }
}

// The row that is repeated into `row`.
__device__ inline size_t at_repeated(const Args &a, int clip, int row) {
    return (size_t)clip * (a.rows / a.add_repeat) + row / a.add_repeat;
}

// What a convolution does with eight of its sums, of channels from `o` on: see `Args`.
__device__ void finish(const Args &a, int clip, int row, int o, float *v) {
    const size_t at = (size_t)clip * a.rows + row;
    if (a.bias)
        for (int k = 0; k < 8; k++) v[k] += a.bias[o + k];
    if (a.through == THROUGH_LEAKY) {
        Eight t = load8(a.tx + at * a.tkeep * a.co + o);
        for (int k = 0; k < 8; k++) v[k] *= slope(float(t.values()[k]));
    } else if (a.through == THROUGH_FILM) {
        Eight t = load8(a.tx + at * a.co + o);
        const half *film = a.tfilm + at * 2 * a.co + o;
        Eight shift = load8(film), scale = load8(film + a.co);
        half *dfilm = a.dfilm + at * 2 * a.co + o;
        float dshift[8], dscale[8];
        for (int k = 0; k < 8; k++) dshift[k] = dscale[k] = 0.0f;
        if (!a.first) {
            Eight s = load8(dfilm), c = load8(dfilm + a.co);
            for (int k = 0; k < 8; k++) dshift[k] = float(s.values()[k]);
            for (int k = 0; k < 8; k++) dscale[k] = float(c.values()[k]);
        }
        for (int k = 0; k < 8; k++) {
            const float x = float(t.values()[k]), by = float(scale.values()[k]);
            const float g = v[k] * slope(by * x + float(shift.values()[k]));
            dshift[k] += g;
            dscale[k] += g * x;
            v[k] = g * by;
        }
        store8(dfilm, dshift);
        store8(dfilm + a.co, dscale);
    }
    if (a.add) {
        const size_t from = a.add_repeat == 1 ? at : at_repeated(a, clip, row);
        Eight add = load8(a.add + from * a.co + o);
        for (int k = 0; k < 8; k++) v[k] += float(add.values()[k]);
    }
    if (a.out) store8(a.out + at * a.co + o, v);
    if (a.first_channel && o == 0) a.first_channel[at] = v[0];
}

// A convolution. A block computes ACROSS * SUB * 16 rows of one clip and WARPS / ACROSS * NC * 16
// channels: ACROSS warps lie across the rows, each with SUB tiles of 16 rows by NC of 16 channels.
template <int ACROSS, int SUB, int NC> __device__ void convolve(const Args &a) {
    SHARED(memory);
    const int height = ACROSS * SUB * 16;
    const int tiles = (a.rows + height - 1) / height;
    const int clip = blockIdx.x / tiles, from = blockIdx.x % tiles * height;
    const int span = (a.taps - 1) * a.dilation, stride = a.ci + 16;
    half *xs = reinterpret_cast<half *>(memory);
    stage(a, clip, from - a.left, height + span, 0, a.ci, xs, stride);
    __syncthreads();

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int first_row = warp % ACROSS * SUB * 16;
    const int first_o = (blockIdx.y * (WARPS / ACROSS) + warp / ACROSS) * NC;
    const int blocks = min(NC, (int)a.co / 16 - first_o);
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[SUB][NC];
    for (int s = 0; s < SUB; s++)
        for (int j = 0; j < NC; j++) wmma::fill_fragment(sums[s][j], 0.0f);
    if (blocks > 0 && from + first_row < (int)a.rows) {
        for (int tap = 0; tap < (int)a.taps; tap++) {
            for (int c = 0; c < (int)a.ci; c += 16) {
                wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> x[SUB];
                for (int s = 0; s < SUB; s++) {
                    const int row = first_row + s * 16 + tap * a.dilation;
                    wmma::load_matrix_sync(x[s], xs + row * stride + c, stride);
                }
#pragma unroll
                for (int j = 0; j < NC; j++) {
                    if (j >= blocks) break;
                    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> w;
                    const half *from_w = a.w + (tap * a.co + (first_o + j) * 16) * a.ci + c;
                    wmma::load_matrix_sync(w, from_w, a.ci);
#pragma unroll
                    for (int s = 0; s < SUB; s++) wmma::mma_sync(sums[s][j], x[s], w, sums[s][j]);
                }
            }
        }
        // Each warp lays its sums out in memory of its own, 16 rows by 16 channels at a time.
        const int staged = ((height + span) * stride * (int)sizeof(half) + 127) / 128 * 128;
        float *own = reinterpret_cast<float *>(memory + staged) + warp * 256;
#pragma unroll
        for (int s = 0; s < SUB; s++) {
#pragma unroll
            for (int j = 0; j < NC; j++) {
                if (j >= blocks) break;
                wmma::store_matrix_sync(own, sums[s][j], 16, wmma::mem_row_major);
                __syncwarp();
                const int row = from + first_row + s * 16 + lane / 2;
                float v[8];
                for (int k = 0; k < 8; k++) v[k] = own[lane * 8 + k];
                if (row < (int)a.rows) finish(a, clip, row, (first_o + j) * 16 + lane % 2 * 8, v);
                __syncwarp();
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) conv_tall_32(const Args a) { convolve<8, 2, 2>(a); }
extern "C" __global__ void __launch_bounds__(THREADS) conv_tall_64(const Args a) { convolve<8, 2, 4>(a); }
extern "C" __global__ void __launch_bounds__(THREADS) conv_middle_64(const Args a) { convolve<8, 1, 4>(a); }
extern "C" __global__ void __launch_bounds__(THREADS) conv_flat_64(const Args a) { convolve<2, 1, 1>(a); }

// Tiles of 16 x 16 weights whose sums a warp keeps.
#define KEPT 6

// The gradients of a layer's weights and biases. A block takes `block_ci` x `block_co` tiles of 16
// channels, every tap of them, and each `gridDim.x`-th stretch of `tile_rows` rows; what it sums up is
// added to `dw` [tap][real_ci][real_co] and `dbias` in the end.
extern "C" __global__ void __launch_bounds__(THREADS) weight_gradient(const Args a) {
    SHARED(memory);
    const int across = (a.ci / 16 + a.block_ci - 1) / a.block_ci;
    const int c0 = blockIdx.y % across * a.block_ci, o0 = blockIdx.y / across * a.block_co;
    const int nc = min((int)a.block_ci, (int)a.ci / 16 - c0), no = min((int)a.block_co, (int)a.co / 16 - o0);
    const int kept = a.taps * nc * no;
    const int span = (a.taps - 1) * a.dilation, height = a.tile_rows;
    const int xstride = nc * 16 + 16, ystride = no * 16 + 16;
    half *xs = reinterpret_cast<half *>(memory);
    half *ys = xs + ((height + span) * xstride + 63) / 64 * 64;

    // Warps that share the tiles of weights among them; as many groups as there is room for share rows.
    const int warp = threadIdx.x / 32;
    const int members = (kept + KEPT - 1) / KEPT, groups = WARPS / members;
    const int group = warp / members, first = warp % members * KEPT;
    const int mine = group < groups ? min(KEPT, kept - first) : 0;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[KEPT];
    // Where each tile's factors lie in a slice of 16 rows.
    int xat[KEPT], yat[KEPT];
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        const int place = (first + i) / no;
        xat[i] = place / nc * a.dilation * xstride + place % nc * 16;
        yat[i] = (first + i) % no * 16;
        wmma::fill_fragment(sums[i], 0.0f);
    }

    // A bias is summed up by the threads of its channel.
    const int channels = no * 16, parts = THREADS / channels;
    const bool sums_bias = c0 == 0 && (int)threadIdx.x < parts * channels;
    float bias = 0.0f;

    const int tiles = (a.rows + height - 1) / height;
    for (int tile = blockIdx.x; tile < tiles * (int)a.batch; tile += gridDim.x) {
        const int clip = tile / tiles, from = tile % tiles * height;
        stage(a, clip, from - a.left, height + span, c0 * 16, nc * 16, xs, xstride);
        const int chunks = no * 2, more_rows = THREADS / chunks, more_chunks = THREADS % chunks;
        int row = threadIdx.x / chunks, chunk = threadIdx.x % chunks;
        for (; row < height; row += more_rows, chunk += more_chunks) {
            if (chunk >= chunks) {
                chunk -= chunks;
                if (++row >= height) break;
            }
            const int o = chunk * 8;
            uint4 raw = make_uint4(0, 0, 0, 0);
            if (from + row < (int)a.rows) {
                const size_t at = (size_t)clip * a.rows + from + row;
                raw = load8(a.dy + at * a.co + o0 * 16 + o).raw;
            }
            *reinterpret_cast<uint4 *>(ys + row * ystride + o) = raw;
        }
        __syncthreads();
        if (sums_bias) {
            const int o = threadIdx.x % channels;
            for (int row = threadIdx.x / channels; row < height; row += parts)
                bias += float(ys[row * ystride + o]);
        }
        if (mine > 0) {
            for (int slice = group; slice < height / 16; slice += groups) {
                wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::col_major> x;
#pragma unroll
                for (int i = 0; i < KEPT; i++) {
                    if (i >= mine) break;
                    if (i == 0 || xat[i] != xat[i - 1])
                        wmma::load_matrix_sync(x, xs + slice * 16 * xstride + xat[i], xstride);
                    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> y;
                    wmma::load_matrix_sync(y, ys + slice * 16 * ystride + yat[i], ystride);
                    wmma::mma_sync(sums[i], x, y, sums[i]);
                }
            }
        }
        __syncthreads();
    }

    // One group after the other adds its sums to those in shared memory.
    float *total = reinterpret_cast<float *>(memory);
    for (int turn = 0; turn < groups; turn++) {
        if (group == turn) {
#pragma unroll
            for (int i = 0; i < KEPT; i++) {
                if (i >= mine) break;
                float *to = total + (first + i) * 256;
                if (turn > 0) {
                    wmma::fragment<wmma::accumulator, 16, 16, 16, float> before;
                    wmma::load_matrix_sync(before, to, 16, wmma::mem_row_major);
                    for (int k = 0; k < before.num_elements; k++) sums[i].x[k] += before.x[k];
                }
                wmma::store_matrix_sync(to, sums[i], 16, wmma::mem_row_major);
            }
        }
        __syncthreads();
    }
    for (int i = threadIdx.x; i < kept * 256; i += THREADS) {
        const int tile = i / 256, place = tile / no, tap = place / nc;
        int c = (c0 + place % nc) * 16 + i % 256 / 16;
        const int o = (o0 + tile % no) * 16 + i % 16;
        // A single channel came as two, which add up to it: see `widen`.
        if (a.real_ci == 1 && c == 1) c = 0;
        if (c < (int)a.real_ci && o < (int)a.real_co)
            atomicAdd(a.dw + ((size_t)tap * a.real_ci + c) * a.real_co + o, total[i]);
    }
    const int o = o0 * 16 + threadIdx.x % channels;
    if (sums_bias && o < (int)a.real_co) atomicAdd(a.dbias + o, bias);
}

__device__ inline unsigned index() { return blockIdx.x * THREADS + threadIdx.x; }

// Sums of `repeat` rows each, back through a leaky ReLU where there is `tx`, plus `add`: `count` groups
// of eight values.
extern "C" __global__ void __launch_bounds__(THREADS) collect(const Args a) {
    const unsigned i = index();
    if (i >= a.count) return;
    const unsigned chunks = a.ci / 8;
    const size_t row = i / chunks, c = i % chunks * 8;
    float v[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (unsigned j = 0; j < a.repeat; j++) {
        Eight x = load8(a.x + (row * a.repeat + j) * a.ci + c);
        for (int k = 0; k < 8; k++) v[k] += float(x.values()[k]);
    }
    if (a.tx) {
        Eight t = load8(a.tx + row * a.ci + c);
        for (int k = 0; k < 8; k++) v[k] *= slope(float(t.values()[k]));
    }
    if (a.add) {
        Eight add = load8(a.add + row * a.ci + c);
        for (int k = 0; k < 8; k++) v[k] += float(add.values()[k]);
    }
    store8(a.out + row * a.ci + c, v);
}

// Adds row r of `x` to row r * keep of `out`: `count` groups of eight values.
extern "C" __global__ void __launch_bounds__(THREADS) add_kept(const Args a) {
    const unsigned i = index();
    if (i >= a.count) return;
    const unsigned chunks = a.ci / 8;
    const size_t row = i / chunks, c = i % chunks * 8;
    half *to = a.out + row * a.keep * a.ci + c;
    Eight x = load8(a.x + row * a.ci + c), sum = load8(to);
    float v[8];
    for (int k = 0; k < 8; k++) v[k] = float(x.values()[k]) + float(sum.values()[k]);
    store8(to, v);
}

// What the gradient of the output is multiplied by, so that half precision holds what is made of it.
__device__ inline float factor(const Args &a) {
    const float sum = *a.scale;
    return sum > 0.0f ? (float)a.count / sum : 1.0f;
}

// `values` [count][real_ci] in half precision, channels padded by zeros to `ci`. A single channel becomes
// two, the value rounded and what that lacks; times the factor where there is a `scale`.
extern "C" __global__ void __launch_bounds__(THREADS) widen(const Args a) {
    const unsigned i = index(), chunks = a.ci / 8;
    if (i >= a.count * chunks) return;
    const size_t row = i / chunks, c = i % chunks * 8;
    const float by = a.scale ? factor(a) : 1.0f;
    float v[8];
    for (int k = 0; k < 8; k++)
        v[k] = c + k < a.real_ci ? a.values[row * a.real_ci + c + k] * by : 0.0f;
    if (a.real_ci == 1 && c == 0 && !a.scale) v[1] = v[0] - float(half(v[0]));
    store8(a.out + row * a.ci + c, v);
}

// Adds the sizes of `count` values up.
extern "C" __global__ void __launch_bounds__(THREADS) measure(const Args a) {
    SHARED(memory);
    float *sums = reinterpret_cast<float *>(memory);
    float sum = 0.0f;
    for (unsigned i = index(); i < a.count; i += gridDim.x * THREADS) sum += fabsf(a.values[i]);
    sums[threadIdx.x] = sum;
    for (int half_way = THREADS / 2; half_way > 0; half_way /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half_way) sums[threadIdx.x] += sums[threadIdx.x + half_way];
    }
    if (threadIdx.x == 0) atomicAdd(a.scale, sums[0]);
}

// Divides `rows` values by the factor.
extern "C" __global__ void __launch_bounds__(THREADS) unscale(const Args a) {
    const unsigned i = index();
    if (i < a.rows) a.dw[i] /= factor(a);
}

extern "C" __global__ void __launch_bounds__(THREADS) zero(const Args a) {
    const unsigned i = index();
    if (i < a.count) a.dw[i] = 0.0f;
}

// Weights `values` [tap][real_ci][real_co] in half precision, padded by zeros: `out` [tap][co][ci], and
// `dfilm` [tap][ci][co] with the taps in reverse, as the gradient of the input needs them: what a product
// sums over lies side by side. `bias` padded to `dbias`.
extern "C" __global__ void __launch_bounds__(THREADS) pack(const Args a) {
    const unsigned i = index(), one = a.ci * a.co;
    if (i < a.co) a.dbias[i] = i < a.real_co ? a.bias[i] : 0.0f;
    if (i >= one * a.taps) return;
    const unsigned tap = i / one, c = i % one / a.co, o = i % a.co;
    // Both channels of a value that was split have its weight.
    const unsigned from = a.real_ci == 1 && c == 1 ? 0 : c;
    const bool real = from < a.real_ci && o < a.real_co;
    const half w = half(real ? a.values[(tap * a.real_ci + from) * a.real_co + o] : 0.0f);
    a.out[(tap * a.co + o) * a.ci + c] = w;
    a.dfilm[((a.taps - 1 - tap) * a.ci + c) * a.co + o] = w;
}
