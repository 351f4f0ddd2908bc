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
    feri_ref_piece p = {.total = in->count};
    while (feri_ref_next(call, &p)) {
        call->host->load_f64(in->dtype, in->data, p.begin, p.count, values);
        for (uint64_t i = 0; i < p.count; i++) {
            kept[i] = twister_unit(&state) >= ratio;
            values[i] = kept[i] ? values[i] / (1 - ratio) : 0;
        }
        if (out) {
            call->host->store_f64(out->dtype, out->data, p.begin, p.count, values, /*saturate=*/1);
        }
        if (mask) {
            call->host->store_i64(mask->dtype, mask->data, p.begin, p.count, kept);
        }
    }
    return call->status;
}

static fer_status run(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *ratio_one = feri_ref_input(call, 1);
    const feri_ref_tensor *training = feri_ref_input(call, 2);
    feri_ref_tensor *mask = feri_ref_output(call, 1);
    if ((ratio_one && ratio_one->count != 1) || (training && training->count != 1) ||
        (mask && mask->count != in->count) || (call->out[0] && call->out[0]->count != in->count)) {
        return feri_ref_misfit(call, "ratio and training_mode must be scalars");
    }
    double ratio = ratio_one ? feri_ref_scalar_f64(call, ratio_one, 0) : 0.5;
    if (training && training->data[0] && ratio != 0) {
        if (!(ratio >= 0 && ratio < 1)) {
            return feri_ref_misfit(call, "ratio must lie in [0, 1)");
        }
        return train(call, mask, ratio);
    }
    static const uint8_t one[1] = {1};
    fer_status status = mask ? feri_ref_fill(call, mask, one) : FER_OK;
    return status == FER_OK && call->out[0] ? feri_ref_copy_all(call, in, call->out[0]) : status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_dropout[] = {
    FERI_REF_KERNEL(Dropout, 22, .run = run)
    FERI_REF_END
};
/* clang-format on */
