/* SPDX-License-Identifier: Apache-2.0
 *
 * TensorProto and SparseTensorProto as tensors. Raw data of a model held in a buffer stays where it
 * is; typed fields are converted into fresh tensors; sparse tensors are made dense.
 */
#ifndef FERI_IMPORT_ONNX_TENSOR_H
#define FERI_IMPORT_ONNX_TENSOR_H

#include "import/source.h"

/* The tensor of a TensorProto, or of a SparseTensorProto, whose values name it. INVALID_MODEL when
 * contents and shape do not fit. */
fer_status feri_import_tensor(feri_source *source,
                              const feri_span *message,
                              int is_sparse,
                              feri_span *out_name,
                              fer_tensor **out_tensor);
/* onnx_sparse.c's part of it. */
fer_status feri_import_sparse(feri_source *source,
                              const feri_span *message,
                              feri_span *out_name,
                              fer_tensor **out_tensor);

/* The last error again, as another status. */
fer_status feri_restate(fer_status status);

#endif
