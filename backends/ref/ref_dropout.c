/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropout. In inference a copy and a mask of true. In training, elements whose uniform number is
 * below ratio become 0 and the rest is scaled; the numbers come from MT19937 (Matsumoto, Nishimura
 * 1998) with 53-bit doubles, so that a seed gives the mask that NumPy's RandomState gives. Without
 * a seed the clock seeds. Called through the step list.
 */
#include "ref/ref_elements.h"

enum { STATE_WORDS = 624, STATE_SHIFT = 397 };
typedef struct twister {
    uint32_t words[STATE_WORDS];
    uint32_t next;
} twister;

static void twister_seed(twister *state, uint32_t seed) {
    for (uint32_t i = 0; i < STATE_WORDS; i++) {
        state->words[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
    }
    state->next = STATE_WORDS;
}

static uint32_t twister_word(twister *state) {
    if (state->next == STATE_WORDS) {
        for (uint32_t i = 0; i < STATE_WORDS; i++) {
            uint32_t joined = (state->words[i] & 0x80000000u) |
                              (state->words[(i + 1) % STATE_WORDS] & 0x7FFFFFFFu);
            state->words[i] = state->words[(i + STATE_SHIFT) % STATE_WORDS] ^ (joined >> 1) ^
                              (joined & 1 ? 0x9908B0DFu : 0);
        }
        state->next = 0;
    }
    uint32_t word = state->words[state->next++];
    word ^= word >> 11;
    word ^= (word << 7) & 0x9D2C5680u;
    word ^= (word << 15) & 0xEFC60000u;
    return word ^ (word >> 18);
}

/* In [0, 1). */
static double twister_unit(twister *state) {
    uint32_t high = twister_word(state) >> 5;
    uint32_t low = twister_word(state) >> 6;
    return ((double)high * 67108864.0 + (double)low) / 9007199254740992.0;
}

static fer_status train(feri_ref_call *call, feri_ref_tensor *mask, double ratio) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    const fer_attr *seed = feri_ref_attr(call->node, "seed");
    twister state;
    twister_seed(
        &state,
        (uint32_t)(seed ? (uint64_t)seed->value.i : call->host->clock_ns(call->host->self)));
    double values[FERI_REF_CHUNK];
    int64_t kept[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < in->count; begin += FERI_REF_CHUNK) {
        uint64_t count = in->count - begin < FERI_REF_CHUNK ? in->count - begin : FERI_REF_CHUNK;
        call->host->load_f64(in->dtype, in->data, begin, count, values);
        for (uint64_t i = 0; i < count; i++) {
            kept[i] = twister_unit(&state) >= ratio;
            values[i] = kept[i] ? values[i] / (1 - ratio) : 0;
        }
        if (out) {
            call->host->store_f64(out->dtype, out->data, begin, count, values, /*saturate=*/1);
        }
        if (mask) {
            call->host->store_i64(mask->dtype, mask->data, begin, count, kept);
        }
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status run(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *ratio_one = call->node->input_count > 1 ? call->in[1] : NULL;
    const feri_ref_tensor *training = call->node->input_count > 2 ? call->in[2] : NULL;
    feri_ref_tensor *mask = call->node->output_count > 1 ? call->out[1] : NULL;
    if ((ratio_one && ratio_one->count != 1) || (training && training->count != 1) ||
        (mask && mask->count != in->count) || (call->out[0] && call->out[0]->count != in->count)) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "ratio and training_mode must be scalars");
    }
    double ratio = ratio_one ? feri_ref_scalar_f64(call->host, ratio_one, 0) : 0.5;
    if (training && training->data[0] && ratio != 0) {
        if (!(ratio >= 0 && ratio < 1)) {
            return feri_ref_fail(call, FER_INVALID_INPUT, "ratio must lie in [0, 1)");
        }
        return train(call, mask, ratio);
    }
    static const uint8_t one[1] = {1};
    for (uint64_t done = 0; mask && done < mask->count;) {
        uint64_t run_count = mask->count - done < 4096 ? mask->count - done : 4096;
        feri_ref_fill_run(/*bits=*/8, mask->data, done, one, 0, run_count);
        done += run_count;
        fer_status status = feri_ref_poll(call, run_count);
        if (status != FER_OK) {
            return status;
        }
    }
    return call->out[0] ? feri_ref_copy_all(call, in, call->out[0]) : FER_OK;
}

/* clang-format off */
static const feri_ref_kernel kernels[] = {
    FERI_REF_ROW(Dropout, 22, run, NULL, 0, NULL, NULL)
    FERI_REF_END
};
/* clang-format on */
const feri_ref_family feri_ref_family_dropout = FERI_REF_FAMILY_OF(kernels);
