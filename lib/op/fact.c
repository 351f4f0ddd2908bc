/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts: what is known of a value, and the small things asked of it. Called by inference, graph/
 * and specialize/. Dims and elements live in the caller's bump.
 */
#include "base/error.h"
#include "op/infer.h"
#include "tensor/dtype.h"

#include <string.h>

fer_status
feri_fact_set_dims(feri_fact *fact, feri_bump *bump, int32_t rank, const feri_sym *dims) {
    if (rank > FER_MAX_RANK) {
        return feri_fail(
            FER_LIMIT, "a tensor of rank %d; Ferrule allows %d", (int)rank, FER_MAX_RANK);
    }
    if (rank < 0) {
        fact->rank = -1;
        fact->dims = NULL;
        return FER_OK;
    }
    feri_sym *copy = FERI_BUMP_ARRAY(bump, feri_sym, (uint64_t)rank);
    if (!copy) {
        return fer_error_last()->status;
    }
    for (int32_t i = 0; i < rank; i++) {
        copy[i] = dims ? dims[i] : feri_sym_unknown();
    }
    fact->rank = rank;
    fact->dims = copy;
    return FER_OK;
}

int feri_fact_is_concrete(const feri_fact *fact) {
    if (fact->kind != FER_KIND_TENSOR || fact->dtype == FER_DTYPE_NONE || fact->rank < 0) {
        return 0;
    }
    for (int32_t i = 0; i < fact->rank; i++) {
        if (!feri_sym_is_number(fact->dims[i])) {
            return 0;
        }
    }
    return 1;
}

feri_sym feri_fact_count(const feri_fact *fact, feri_terms *terms) {
    if (fact->rank < 0) {
        return feri_sym_unknown();
    }
    feri_sym count = feri_sym_number(1);
    int is_unknown = 0;
    for (int32_t i = 0; i < fact->rank; i++) {
        if (feri_sym_is_number(fact->dims[i]) && fact->dims[i].number == 0) {
            return feri_sym_number(0);
        }
        is_unknown |= feri_sym_is_unknown(fact->dims[i]);
        count = is_unknown ? count : feri_sym_mul(terms, count, fact->dims[i]);
    }
    return is_unknown ? feri_sym_unknown() : count;
}

fer_status feri_fact_copy(const feri_fact *source, feri_bump *bump, feri_fact *out_fact) {
    feri_fact copy = *source;
    copy.dims = NULL;
    copy.elements = NULL;
    if (source->rank >= 0) {
        FER_TRY(feri_fact_set_dims(&copy, bump, source->rank, source->dims));
    }
    if (source->elements) {
        copy.elements = FERI_BUMP_ARRAY(bump, feri_sym, source->element_count);
        if (!copy.elements) {
            return fer_error_last()->status;
        }
        if (source->element_count) {
            memcpy(copy.elements,
                   source->elements,
                   (size_t)source->element_count * sizeof(*copy.elements));
        }
    }
    *out_fact = copy;
    return FER_OK;
}

uint32_t feri_fact_small_count(const feri_fact *fact) {
    uint64_t count = 1;
    if (fact->kind != FER_KIND_TENSOR || fact->rank < 0 ||
        !feri_infer_is_small_dtype(fact->dtype)) {
        return UINT32_MAX;
    }
    for (int32_t i = 0; i < fact->rank; i++) {
        if (!feri_sym_is_number(fact->dims[i]) || fact->dims[i].number < 0) {
            return UINT32_MAX;
        }
        count = feri_mul_sat(count, (uint64_t)fact->dims[i].number);
    }
    return count > FERI_MAX_ELEMENTS ? UINT32_MAX : (uint32_t)count;
}

feri_sym *feri_fact_elements(feri_fact *fact, feri_bump *bump) {
    if (fact->elements || !fact->data) {
        return fact->elements;
    }
    uint32_t count = feri_fact_small_count(fact);
    feri_sym *elements = count != UINT32_MAX ? FERI_BUMP_ARRAY(bump, feri_sym, count) : NULL;
    if (!elements) {
        return NULL;
    }
    int is_float = feri_infer_is_float(fact->dtype);
    for (uint32_t i = 0; i < count; i++) {
        elements[i] = is_float ? feri_sym_from_f64(feri_load_f64(fact->dtype, fact->data, i))
                               : feri_sym_number(feri_load_i64(fact->dtype, fact->data, i));
    }
    fact->elements = elements;
    fact->element_count = count;
    return elements;
}
