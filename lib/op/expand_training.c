/* SPDX-License-Identifier: Apache-2.0
 *
 * Adagrad, Adam and Momentum as element-wise ops, tensor by tensor. Operands after R and T are all
 * X, then all G, then the accumulators; results are all new X, then the new accumulators.
 */
#include "op/infer.h"

#include <string.h>

/* How many tensors are optimised: per tensor so many operands and results. */
static uint32_t tensor_count(feri_infer *call, uint32_t operands) {
    return call->in_count > 2 ? (call->in_count - 2) / operands : 0;
}

static void infer_update(feri_infer *call, uint32_t operands) {
    uint32_t n = tensor_count(call, operands);
    if (n == 0 || call->in_count != 2 + n * operands || call->out_count > n * (operands - 1)) {
        feri_infer_fail(call,
                        "%u operands and %u results; each tensor takes %u and gives %u, beside R "
                        "and T",
                        call->in_count,
                        call->out_count,
                        operands,
                        operands - 1);
        return;
    }
    feri_infer_rank(call, 0, 0, 1);
    feri_infer_rank(call, 1, 0, 1);
    for (uint32_t i = 0; i < call->out_count; i++) {
        const feri_fact *x = call->in[2 + i % n];
        const feri_fact *same = call->in[2 + (i < n ? i : i + n)];
        if (!x || !same) {
            feri_infer_fail(call, "a tensor is left out");
            return;
        }
        feri_infer_set_dtype(call, i, same->dtype);
        feri_infer_set_like(call, i, x);
    }
}

void feri_infer_adagrad(feri_infer *call) { infer_update(call, 3); }
void feri_infer_momentum(feri_infer *call) { infer_update(call, 3); }
void feri_infer_adam(feri_infer *call) { infer_update(call, 4); }

/* A name of tensor i's operand or result group. */
#define NAME(group) ((group)*n + i)

/* r, t and the regularised gradient of tensor i. */
static void add_start(feri_text *out_body, uint32_t n, uint32_t i) {
    feri_text_add(out_body,
                  "x%u = Identity(inputs%u)\n"
                  "r%u = Cast(R, to=x%u)\n"
                  "t%u = Cast(T, to=x%u)\n"
                  "g%u = Add(Mul({@norm_coefficient|0: x%u}, x%u), inputs%u)\n",
                  i,
                  NAME(0),
                  i,
                  i,
                  i,
                  i,
                  i,
                  i,
                  i,
                  NAME(1));
}

/* Results that nobody wants are not assigned by name. */
static void
add_result(feri_infer *call, feri_text *out_body, uint32_t index, const char *name, uint32_t i) {
    if (feri_infer_out(call, index)) {
        feri_text_add(out_body, "outputs%u = Identity(%s%u)\n", index, name, i);
    }
}

/* Replaces every '#' by the number of the tensor. */
static void add_numbered(feri_text *out_body, const char *text, uint32_t i) {
    for (const char *c = text; *c; c++) {
        if (*c == '#') {
            feri_text_add(out_body, "%u", i);
        } else {
            feri_text_add_bytes(out_body, c, 1);
        }
    }
}

fer_status feri_expand_adagrad(feri_infer *call, feri_text *out_body) {
    uint32_t n = tensor_count(call, 3);
    for (uint32_t i = 0; i < n; i++) {
        add_start(out_body, n, i);
        feri_text_add(out_body, "a%u = Identity(inputs%u)\n", i, NAME(2));
        add_numbered(out_body,
                     "s# = Div(r#, Add({1: x#}, Mul(t#, {@decay_factor|0: x#})))\n"
                     "h# = Add(a#, Mul(g#, g#))\n"
                     "d# = Add(Sqrt(h#), {@epsilon|1e-6: x#})\n"
                     "y# = Sub(x#, Div(Mul(s#, g#), d#))\n",
                     i);
        add_result(call, out_body, NAME(0), "y", i);
        add_result(call, out_body, NAME(1), "h", i);
    }
    return out_body->status;
}

fer_status feri_expand_adam(feri_infer *call, feri_text *out_body) {
    uint32_t n = tensor_count(call, 4);
    for (uint32_t i = 0; i < n; i++) {
        add_start(out_body, n, i);
        feri_text_add(out_body,
                      "v%u = Identity(inputs%u)\na%u = Identity(inputs%u)\n",
                      i,
                      NAME(2),
                      i,
                      NAME(3));
        add_numbered(out_body,
                     "al# = {@alpha|0.9: x#}\n"
                     "be# = {@beta|0.999: x#}\n"
                     "m# = Add(Mul(al#, v#), Mul(Sub({1: x#}, al#), g#))\n"
                     "h# = Add(Mul(be#, a#), Mul(Sub({1: x#}, be#), Mul(g#, g#)))\n"
                     "c# = Div(Sqrt(Sub({1: x#}, Pow(be#, t#))), Sub({1: x#}, Pow(al#, t#)))\n"
                     "s# = Where(Greater(t#, {0: x#}), Mul(r#, c#), r#)\n"
                     "d# = Add(Sqrt(h#), {@epsilon|1e-6: x#})\n"
                     "u# = Sub(x#, Mul(s#, Div(m#, d#)))\n"
                     "y# = Mul(Sub({1: x#}, {@norm_coefficient_post|0: x#}), u#)\n",
                     i);
        add_result(call, out_body, NAME(0), "y", i);
        add_result(call, out_body, NAME(1), "m", i);
        add_result(call, out_body, NAME(2), "h", i);
    }
    return out_body->status;
}

fer_status feri_expand_momentum(feri_infer *call, feri_text *out_body) {
    uint32_t n = tensor_count(call, 3);
    int is_nesterov = strcmp(feri_infer_string(call, "mode", ""), "nesterov") == 0;
    for (uint32_t i = 0; i < n; i++) {
        add_start(out_body, n, i);
        feri_text_add(out_body, "v%u = Identity(inputs%u)\n", i, NAME(2));
        add_numbered(out_body,
                     "al# = {@alpha|0.9: x#}\n"
                     "be# = Where(Greater(t#, {0: x#}), {@beta|1: x#}, {1: x#})\n"
                     "m# = Add(Mul(al#, v#), Mul(be#, g#))\n",
                     i);
        add_numbered(out_body,
                     is_nesterov ? "y# = Sub(x#, Mul(r#, Add(g#, Mul(al#, m#))))\n"
                                 : "y# = Sub(x#, Mul(r#, m#))\n",
                     i);
        add_result(call, out_body, NAME(0), "y", i);
        add_result(call, out_body, NAME(1), "m", i);
    }
    return out_body->status;
}
