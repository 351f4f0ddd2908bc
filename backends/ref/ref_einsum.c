/* SPDX-License-Identifier: Apache-2.0
 *
 * Einsum and Det. Einsum walks the labels of the result and, inside, those that are summed away;
 * each operand has a stride per label (the sum of its strides where a label repeats, 0 where a dim
 * is 1). Called through the step list.
 */
#include "ref/ref_line.h"

#include <math.h>
#include <string.h>

enum { MOST_OPERANDS = 16, MOST_LABELS = 64, DOTS = 256 };

typedef struct einsum {
    uint32_t labels; /* of the result first */
    uint32_t kept;
    uint16_t name[MOST_LABELS]; /* a letter, or DOTS + axis counted from the right */
    int64_t dim[MOST_LABELS];
    int64_t stride[MOST_OPERANDS][MOST_LABELS];
} einsum;

/* One term of the equation, spaces dropped: names of its axes. */
typedef struct term {
    uint16_t name[FER_MAX_RANK + 1];
    uint32_t count;
} term;

static int is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* Names of a term with dots_rank axes in its ellipsis; 0 when it cannot be read. */
static int read_term(const char *text, size_t length, uint32_t dots_rank, term *out) {
    out->count = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') {
            continue;
        }
        uint32_t more = 1;
        uint16_t name = (uint16_t)(unsigned char)text[i];
        if (text[i] == '.') {
            if (i + 2 >= length || text[i + 1] != '.' || text[i + 2] != '.') {
                return 0;
            }
            more = dots_rank;
            i += 2;
        } else if (!is_letter(text[i])) {
            return 0;
        }
        for (uint32_t k = 0; k < more; k++) {
            if (out->count > FER_MAX_RANK - 1) {
                return 0;
            }
            out->name[out->count++] = text[i] == '.' ? (uint16_t)(DOTS + dots_rank - 1 - k) : name;
        }
    }
    return 1;
}

/* Letters in a term: the rest of a rank is the ellipsis. */
static uint32_t letters_in(const char *text, size_t length) {
    uint32_t letters = 0;
    for (size_t i = 0; i < length; i++) {
        letters += (uint32_t)is_letter(text[i]);
    }
    return letters;
}

static int find_label(const einsum *p, uint16_t name) {
    for (uint32_t l = 0; l < p->labels; l++) {
        if (p->name[l] == name) {
            return (int)l;
        }
    }
    return -1;
}

static int add_label(einsum *p, uint16_t name) {
    if (p->labels == MOST_LABELS) {
        return -1;
    }
    p->name[p->labels] = name;
    p->dim[p->labels] = 1;
    return (int)p->labels++;
}

/* Adds an operand's term; 0 when it does not fit. */
static int add_operand(einsum *p, uint32_t operand, const feri_ref_tensor *t, const term *axes) {
    int64_t stride = 1;
    if (axes->count != t->rank) {
        return 0;
    }
    for (uint32_t d = t->rank; d-- > 0;) {
        int label = find_label(p, axes->name[d]);
        label = label >= 0 ? label : add_label(p, axes->name[d]);
        if (label < 0 || (t->dims[d] != 1 && p->dim[label] != 1 && p->dim[label] != t->dims[d])) {
            return 0;
        }
        if (t->dims[d] != 1) {
            p->dim[label] = t->dims[d];
            p->stride[operand][label] += stride;
        }
        stride *= t->dims[d];
    }
    return 1;
}

/* The result's labels where the equation has no arrow: the ellipsis, then letters used once. */
static int imply_result(einsum *p, const char *equation, uint32_t most_dots) {
    int is_fine = 1;
    for (uint32_t k = most_dots; k-- > 0;) {
        is_fine &= add_label(p, (uint16_t)(DOTS + k)) >= 0;
    }
    for (int c = 'A'; c <= 'z'; c++) {
        const char *first = is_letter((char)c) ? strchr(equation, c) : NULL;
        if (first && !strchr(first + 1, c)) {
            is_fine &= add_label(p, (uint16_t)c) >= 0;
        }
    }
    return is_fine;
}

/* Calls for each operand's term: its text and the rank of its ellipsis. */
static int next_term(const char **at, const char *end, const char **out, size_t *out_length) {
    if (*at > end) {
        return 0;
    }
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma ? comma : end;
    *out = *at;
    *out_length = (size_t)(stop - *at);
    *at = stop + 1;
    return 1;
}

static fer_status einsum_bind(feri_ref_call *call) {
    einsum *p = call->params;
    const char *equation = feri_ref_string(call->node, "equation", "");
    const char *arrow = strstr(equation, "->");
    const char *end = arrow ? arrow : equation + strlen(equation), *at = equation, *text;
    size_t length;
    uint32_t dots[MOST_OPERANDS] = {0}, most_dots = 0, count = call->node->input_count, i = 0;
    term axes;
    if (count > MOST_OPERANDS) {
        return feri_ref_fail(call, FER_UNSUPPORTED, "more than 16 operands; split the equation");
    }
    memset(p, 0, sizeof(*p));
    for (; i < count && next_term(&at, end, &text, &length); i++) {
        uint32_t letters = letters_in(text, length);
        int has_dots = memchr(text, '.', length) != NULL;
        dots[i] = has_dots && call->in[i]->rank > letters ? call->in[i]->rank - letters : 0;
        most_dots = dots[i] > most_dots ? dots[i] : most_dots;
    }
    int is_fine = i == count;
    if (arrow) {
        is_fine &= read_term(arrow + 2, strlen(arrow + 2), most_dots, &axes);
        for (uint32_t a = 0; is_fine && a < axes.count; a++) {
            is_fine &= find_label(p, axes.name[a]) < 0 && add_label(p, axes.name[a]) >= 0;
        }
    } else {
        is_fine &= imply_result(p, equation, most_dots);
    }
    p->kept = p->labels;
    at = equation;
    for (i = 0; is_fine && i < count && next_term(&at, end, &text, &length); i++) {
        is_fine = read_term(text, length, dots[i], &axes) && add_operand(p, i, call->in[i], &axes);
    }
    is_fine &= call->out[0]->rank == p->kept;
    for (i = 0; is_fine && i < p->kept; i++) {
        is_fine = call->out[0]->dims[i] == p->dim[i];
    }
    return is_fine ? FER_OK
                   : feri_ref_misfit(call, "the equation does not fit the operands' shapes");
}

/* Steps labels [from, to); offsets follow. 0 after the last. */
static int next_place(const einsum *p,
                      uint32_t from,
                      uint32_t to,
                      uint32_t operands,
                      int64_t *index,
                      uint64_t *offset) {
    for (uint32_t l = to; l-- > from;) {
        index[l]++;
        int wraps = index[l] == p->dim[l];
        int64_t moved = wraps ? 1 - p->dim[l] : 1;
        for (uint32_t o = 0; o < operands; o++) {
            offset[o] += (uint64_t)(moved * p->stride[o][l]);
        }
        if (!wraps) {
            return 1;
        }
        index[l] = 0;
    }
    return 0;
}

static fer_status einsum_place(feri_ref_call *call, uint64_t at, int64_t *index, uint64_t *offset) {
    const einsum *p = call->params;
    uint32_t operands = call->node->input_count;
    feri_ref_tensor *out = call->out[0];
    int is_float = feri_ref_is_float(out->dtype), is_empty = 0;
    double sum = 0;
    uint64_t whole = 0;
    for (uint32_t l = p->kept; l < p->labels; l++) {
        is_empty |= p->dim[l] == 0;
    }
    while (!is_empty) {
        double product = 1;
        uint64_t whole_product = 1;
        for (uint32_t o = 0; o < operands; o++) {
            double value = 0;
            int64_t number = 0;
            if (is_float) {
                feri_ref_load_real(call, call->in[o], offset[o], 1, 1, &value);
            } else {
                feri_ref_load_int(call, call->in[o], offset[o], 1, 1, &number);
            }
            product *= value;
            whole_product *= (uint64_t)number;
        }
        sum += product;
        whole += whole_product;
        fer_status status = feri_ref_poll(call, operands);
        if (status != FER_OK) {
            return status;
        }
        if (!next_place(p, p->kept, p->labels, operands, index, offset)) {
            break;
        }
    }
    if (is_float) {
        feri_ref_store_real(call, out, at, 1, 1, &sum);
    } else {
        int64_t number = (int64_t)whole;
        feri_ref_store_int(call, out, at, 1, 1, &number);
    }
    return FER_OK;
}

static fer_status einsum_run(feri_ref_call *call) {
    const einsum *p = call->params;
    int64_t index[MOST_LABELS] = {0};
    uint64_t offset[MOST_OPERANDS] = {0};
    fer_status status = FER_OK;
    for (uint64_t i = 0; status == FER_OK && i < call->out[0]->count; i++) {
        status = einsum_place(call, i, index, offset);
        (void)next_place(p, 0, p->kept, call->node->input_count, index, offset);
        status = status ? status : feri_ref_poll(call, 1);
    }
    return status;
}

/* ---- Det: Gaussian elimination with the largest pivot ---- */

static fer_status det_bind(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2]) {
        return feri_ref_misfit(call, "X must hold square matrices");
    }
    uint64_t n = (uint64_t)x->dims[x->rank - 1];
    call->scratch_bytes = n * n * sizeof(double);
    return FER_OK;
}

static fer_status det_one(feri_ref_call *call, double *m, uint64_t n, double *out) {
    *out = 1;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t pivot = k;
        for (uint64_t r = k + 1; r < n; r++) {
            pivot = fabs(m[r * n + k]) > fabs(m[pivot * n + k]) ? r : pivot;
        }
        for (uint64_t c = k; pivot != k && c < n; c++) {
            double held = m[k * n + c];
            m[k * n + c] = m[pivot * n + c];
            m[pivot * n + c] = held;
        }
        *out *= pivot != k ? -m[k * n + k] : m[k * n + k];
        if (m[k * n + k] == 0) {
            return FER_OK;
        }
        for (uint64_t r = k + 1; r < n; r++) {
            double factor = m[r * n + k] / m[k * n + k];
            for (uint64_t c = k; c < n; c++) {
                m[r * n + c] -= factor * m[k * n + c];
            }
            fer_status status = feri_ref_poll(call, n - k);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    return FER_OK;
}

static fer_status det_run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t n = (uint64_t)x->dims[x->rank - 1];
    fer_status status = FER_OK;
    for (uint64_t i = 0; status == FER_OK && i < call->out[0]->count; i++) {
        double result = 1;
        for (uint64_t r = 0; status == FER_OK && r < n; r++) {
            feri_ref_load_real(call, x, (i * n + r) * n, 1, n, (double *)call->scratch + r * n);
            status = feri_ref_poll(call, n);
        }
        status = status ? status : det_one(call, call->scratch, n, &result);
        feri_ref_store_real(call, call->out[0], i, 1, 1, &result);
        status = status ? status : feri_ref_poll(call, 1);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_einsum[] = {
    FERI_REF_KERNEL(Einsum, 12, .run = einsum_run, .bind = einsum_bind, .params_bytes = sizeof(einsum))
    FERI_REF_KERNEL(Det, 22, .run = det_run, .bind = det_bind)
    FERI_REF_END
};
/* clang-format on */
