/* SPDX-License-Identifier: Apache-2.0
 *
 * SparseTensorProto made dense: values at indices, zero elsewhere. Indices are flat ([NNZ]) or one
 * row per value ([NNZ, rank]). A dense tensor costs what max_tensor_bytes and the budget allow, not
 * what the file promises.
 */
#include "base/error.h"
#include "import/onnx_tensor.h"
#include "tensor/dtype.h"

#include <string.h>

/* SparseTensorProto. */
typedef struct sparse_parts {
    feri_message base;
    feri_span values;
    feri_span indices;
    feri_numbers shape;
} sparse_parts;

/* Flat position of a row of indices, or -1 when one is out of range. */
static int64_t position(const void *indices, uint64_t row, uint32_t rank, const int64_t *dims) {
    int64_t flat = 0;
    for (uint32_t d = 0; d < rank; d++) {
        int64_t index = feri_load_i64(FER_I64, indices, row * rank + d);
        if (index < 0 || index >= dims[d]) {
            return -1;
        }
        flat = flat * dims[d] + index; /* below the element count, which fits */
    }
    return flat;
}

static fer_status scatter(const fer_tensor *values, const fer_tensor *indices, fer_tensor *dense) {
    uint64_t count = values->element_count;
    uint32_t bits = fer_dtype_bits(values->dtype), bytes = bits / 8, mask = (1u << bits % 8) - 1;
    uint32_t rank = dense->rank;
    const int64_t *dims = dense->dims;
    const int64_t *index_dims = indices->dims;
    const int64_t flat_dim = (int64_t)dense->element_count;
    int is_flat = indices->rank == 1;
    int fits = values->rank == 1 && indices->dtype == FER_I64 &&
               (is_flat || (indices->rank == 2 && index_dims[1] == rank)) &&
               (uint64_t)index_dims[0] == count;
    if (!fits || bits == 0) {
        return feri_fail(FER_INVALID_MODEL,
                         "its values, indices and dims do not fit together, or are strings");
    }
    if (is_flat) {
        rank = 1;
        dims = &flat_dim;
    }
    uint8_t *out = fer_tensor_data(dense);
    const uint8_t *in = fer_tensor_data(values);
    for (uint64_t e = 0; e < count; e++) {
        int64_t at = position(fer_tensor_data((fer_tensor *)(uintptr_t)indices), e, rank, dims);
        if (at < 0) {
            return feri_fail(FER_INVALID_MODEL,
                             "its entry %llu has an index outside of its dims",
                             (unsigned long long)e);
        }
        memcpy(out + (uint64_t)at * bytes, in + e * bytes, bytes);
        if (bytes == 0) {
            uint8_t *byte = out + (uint64_t)at * bits / 8;
            uint32_t shift = (uint32_t)((uint64_t)at * bits % 8),
                     value = in[e * bits / 8] >> (e * bits % 8) & mask;
            *byte = (uint8_t)((*byte & ~(mask << shift)) | value << shift);
        }
    }
    return FER_OK;
}

fer_status feri_import_sparse(feri_source *source,
                              const feri_span *message,
                              feri_span *out_name,
                              fer_tensor **out_tensor) {
    static const uint8_t table[] = FERI_TABLE(sparse_parts,
                                              FERI_ROW(sparse_parts, 1, FERI_SPAN, values),
                                              FERI_ROW(sparse_parts, 2, FERI_SPAN, indices),
                                              FERI_ROW(sparse_parts, 3, FERI_VARINTS, shape));
    sparse_parts parts;
    feri_span indices_name;
    fer_tensor *values = NULL, *indices = NULL, *dense = NULL;
    int64_t dims[FER_MAX_RANK];
    FER_TRY(feri_message_read(&source->scratch, "sparse tensor", message, table, &parts));
    FER_TRY(feri_import_tensor(source, &parts.values, /*is_sparse=*/0, out_name, &values));
    fer_status status =
        feri_import_tensor(source, &parts.indices, /*is_sparse=*/0, &indices_name, &indices);
    feri_numbers_read(&parts.base, 3, FERI_VARINTS, 8, FER_MAX_RANK, dims);
    if (status == FER_OK) {
        status = fer_tensor_create((fer_context *)(void *)source->env,
                                   values->dtype,
                                   parts.shape.count < UINT32_MAX ? (uint32_t)parts.shape.count
                                                                  : UINT32_MAX,
                                   dims,
                                   &dense);
        if (status == FER_OK) {
            status = scatter(values, indices, dense);
        }
        if (status != FER_OK) {
            feri_error_prefix("sparse tensor '%.*s'", FERI_SPAN_SHOWN(*out_name));
        }
    }
    fer_tensor_release(values);
    fer_tensor_release(indices);
    if (status != FER_OK) {
        fer_tensor_release(dense);
        return status;
    }
    *out_tensor = dense;
    return FER_OK;
}
