/* SPDX-License-Identifier: Apache-2.0
 *
 * TensorProto and SparseTensorProto as tensors. Raw data of a model held in a buffer stays where it
 * is; typed fields are converted into fresh tensors; sparse tensors are made dense.
 */
#ifndef FERI_IMPORT_ONNX_TENSOR_H
#define FERI_IMPORT_ONNX_TENSOR_H

#include "import/source.h"

/* The typed fields of TensorProto. */
enum {
    FERI_DATA_FLOAT,
    FERI_DATA_INT32,
    FERI_DATA_INT64,
    FERI_DATA_DOUBLE,
    FERI_DATA_UINT64,
    FERI_DATA_COUNT
};

/* A TensorProto read once: everything but the contents. */
typedef struct feri_tensor_proto {
    feri_message base;
    feri_numbers shape;
    int64_t dtype;
    feri_span raw;
    feri_spans external;
    int64_t location; /* 1: external */
    feri_spans strings;
    feri_numbers data[FERI_DATA_COUNT];
    int64_t dims[FER_MAX_RANK]; /* the first ones of shape */
} feri_tensor_proto;

fer_status
feri_tensor_proto_read(feri_source *source, feri_span message, feri_tensor_proto *out_proto);
/* The tensor of a TensorProto. INVALID_MODEL when contents and shape do not fit. */
fer_status
feri_import_tensor(feri_source *source, const feri_tensor_proto *proto, fer_tensor **out_tensor);
/* out_name: of the values tensor, which names the initializer. */
fer_status feri_import_sparse(feri_source *source,
                              feri_span message,
                              feri_span *out_name,
                              fer_tensor **out_tensor);

/* The last error again, as another status. */
fer_status feri_restate(fer_status status);

#endif
