/* SPDX-License-Identifier: Apache-2.0
 *
 * DLPack both ways, DLManagedTensorVersioned of major version 1, after the specification at
 * https://dmlc.github.io/dlpack. The few declarations needed are here, so that building needs no
 * header of theirs. An imported struct's deleter fires exactly once, whatever happens.
 */
#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

#include <string.h>

enum { DL_CPU = 1, DL_CUDA_HOST = 3, DL_ROCM_HOST = 11 };
enum { DL_INT = 0, DL_UINT = 1, DL_FLOAT = 2, DL_BFLOAT = 4, DL_COMPLEX = 5, DL_BOOL = 6 };
enum {
    DL_E4M3FN = 10,
    DL_E4M3FNUZ = 11,
    DL_E5M2 = 12,
    DL_E5M2FNUZ = 13,
    DL_E8M0 = 14,
    DL_E2M1 = 17
};
enum { DL_READ_ONLY = 1, DL_IS_COPIED = 2, DL_SUBBYTE_PADDED = 4 };

typedef struct DLManagedTensorVersioned dl_managed;
struct DLManagedTensorVersioned {
    struct {
        uint32_t major;
        uint32_t minor;
    } version;
    void *manager;
    void (*deleter)(dl_managed *self);
    uint64_t flags;
    struct {
        void *data;
        struct {
            int32_t type;
            int32_t id;
        } device;
        int32_t ndim;
        struct {
            uint8_t code;
            uint8_t bits;
            uint16_t lanes;
        } dtype;
        int64_t *shape;
        int64_t *strides; /* in elements; NULL: row-major */
        uint64_t byte_offset;
    } tensor;
};

/* One more than the code, 0 for none; with the bits it says which dtype. */
static const uint8_t codes[FER_DTYPE_COUNT] = {
    [FER_I8] = 1 + DL_INT,
    [FER_I16] = 1 + DL_INT,
    [FER_I32] = 1 + DL_INT,
    [FER_I64] = 1 + DL_INT,
    [FER_I4] = 1 + DL_INT,
    [FER_I2] = 1 + DL_INT,
    [FER_U8] = 1 + DL_UINT,
    [FER_U16] = 1 + DL_UINT,
    [FER_U32] = 1 + DL_UINT,
    [FER_U64] = 1 + DL_UINT,
    [FER_U4] = 1 + DL_UINT,
    [FER_U2] = 1 + DL_UINT,
    [FER_F16] = 1 + DL_FLOAT,
    [FER_F32] = 1 + DL_FLOAT,
    [FER_F64] = 1 + DL_FLOAT,
    [FER_BF16] = 1 + DL_BFLOAT,
    [FER_C64] = 1 + DL_COMPLEX,
    [FER_C128] = 1 + DL_COMPLEX,
    [FER_BOOL] = 1 + DL_BOOL,
    [FER_F8E4M3FN] = 1 + DL_E4M3FN,
    [FER_F8E4M3FNUZ] = 1 + DL_E4M3FNUZ,
    [FER_F8E5M2] = 1 + DL_E5M2,
    [FER_F8E5M2FNUZ] = 1 + DL_E5M2FNUZ,
    [FER_F8E8M0] = 1 + DL_E8M0,
    [FER_F4E2M1] = 1 + DL_E2M1,
};

static fer_dtype dtype_of(uint32_t code, uint32_t bits) {
    fer_dtype dtype = FER_DTYPE_COUNT - 1;
    while (dtype > FER_DTYPE_NONE && (codes[dtype] != code + 1 || fer_dtype_bits(dtype) != bits)) {
        dtype--;
    }
    return dtype;
}

static void managed_delete(void *self, void *memory) {
    (void)memory;
    dl_managed *managed = self;
    if (managed->deleter) {
        managed->deleter(managed);
    }
}

/* What can be said against the struct before its contents are looked at. */
static fer_status managed_check(const dl_managed *managed, fer_dtype *out_dtype) {
    if (managed->version.major != 1) {
        return feri_fail(FER_VERSION,
                         "the DLPack tensor has major version %u; this library speaks 1",
                         managed->version.major);
    }
    int32_t device = managed->tensor.device.type;
    if (device != DL_CPU && device != DL_CUDA_HOST && device != DL_ROCM_HOST) {
        return feri_fail(FER_UNSUPPORTED,
                         "the DLPack tensor lies on device type %d; copy it to the host first",
                         device);
    }
    *out_dtype = dtype_of(managed->tensor.dtype.code, managed->tensor.dtype.bits);
    if (!*out_dtype || managed->tensor.dtype.lanes != 1) {
        return feri_fail(FER_UNSUPPORTED,
                         "no dtype for DLPack code %u with %u bits and %u lanes",
                         managed->tensor.dtype.code,
                         managed->tensor.dtype.bits,
                         managed->tensor.dtype.lanes);
    }
    if (managed->tensor.ndim < 0) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "the DLPack tensor has %d dims", managed->tensor.ndim);
    }
    return FER_OK;
}

static int is_dense(const dl_managed *managed, uint64_t count) {
    int64_t expected = 1;
    for (int32_t i = managed->tensor.ndim - 1; managed->tensor.strides && count > 1 && i >= 0;
         i--) {
        int64_t dim = managed->tensor.shape[i];
        if (dim != 1 && managed->tensor.strides[i] != expected) {
            return 0;
        }
        expected *= dim; /* at most count, which was checked */
    }
    return 1;
}

/* A strided source into a dense tensor, one element after the other. */
static void gather(const dl_managed *managed, fer_tensor *tensor) {
    uint64_t size = fer_dtype_bits(tensor->dtype) / 8;
    const uint8_t *base = (const uint8_t *)managed->tensor.data + managed->tensor.byte_offset;
    int64_t index[FER_MAX_RANK] = {0};
    uint64_t at = 0; /* element offset, modulo 2^64: strides may be negative */
    for (uint64_t i = 0; i < tensor->element_count; i++) {
        memcpy(tensor->buffer->host + i * size, base + (int64_t)(at * size), size);
        for (uint32_t d = tensor->rank; d-- > 0;) {
            uint64_t stride = (uint64_t)managed->tensor.strides[d];
            at += stride;
            if (++index[d] < tensor->dims[d]) {
                break;
            }
            at -= stride * (uint64_t)index[d];
            index[d] = 0;
        }
    }
}

static fer_status import_managed(
    feri_env *env, dl_managed *managed, int32_t zero_copy, int *out_kept, fer_tensor **out_tensor) {
    fer_dtype dtype = FER_DTYPE_NONE;
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(managed_check(managed, &dtype));
    uint32_t rank = (uint32_t)managed->tensor.ndim;
    const int64_t *dims = managed->tensor.shape;
    FER_TRY(feri_shape_check(env, dtype, rank, dims, &count, &bytes));
    if (!managed->tensor.data && bytes) {
        return feri_null_argument("the DLPack tensor's data");
    }
    if (is_dense(managed, count) &&
        !(managed->flags & DL_SUBBYTE_PADDED && count > 1 && fer_dtype_bits(dtype) < 8)) {
        char *data = managed->tensor.data;
        *out_kept = 1; /* the tensor's from here on, also when making it fails */
        return fer_tensor_import((fer_context *)env,
                                 dtype,
                                 rank,
                                 dims,
                                 data ? data + managed->tensor.byte_offset : NULL,
                                 managed->flags & DL_READ_ONLY ? FER_IMPORT_BORROW
                                                               : FER_IMPORT_BORROW_MUTABLE,
                                 managed_delete,
                                 managed,
                                 out_tensor);
    }
    if (zero_copy || fer_dtype_bits(dtype) < 8) {
        return feri_fail(FER_UNSUPPORTED,
                         "the DLPack tensor is strided%s",
                         zero_copy ? " and zero_copy forbids the copy it needs"
                                   : " and of a packed dtype; make it contiguous first");
    }
    fer_tensor *tensor = NULL;
    FER_TRY(fer_tensor_create((fer_context *)(void *)env, dtype, rank, dims, &tensor));
    gather(managed, tensor);
    *out_tensor = tensor;
    return FER_OK;
}

fer_status fer_tensor_from_dlpack(fer_context *context,
                                  struct DLManagedTensorVersioned *managed,
                                  int32_t zero_copy,
                                  uint64_t stream,
                                  fer_tensor **out_tensor) {
    (void)stream; /* host memory is ready when it is handed over */
    if (!managed) {
        return feri_null_argument("managed");
    }
    int kept = 0;
    fer_status status =
        !context || !out_tensor
            ? feri_null_argument(context ? "out_tensor" : "context")
            : import_managed(feri_env_of(context), managed, zero_copy, &kept, out_tensor);
    if (!kept) {
        managed_delete(managed, NULL);
    }
    return status;
}

/* What an exported struct is part of. */
typedef struct exported {
    dl_managed managed;
    fer_tensor *tensor; /* gives the shape too */
    int64_t strides[FER_MAX_RANK];
} exported;

static void exported_delete(dl_managed *managed) {
    exported *export = managed->manager;
    fer_tensor *tensor = export->tensor;
    feri_env *env = feri_env_retain(feri_tensor_env(tensor));
    fer_tensor_release(tensor);
    feri_free(env, export, sizeof *export);
    feri_env_release(env);
}

static void exported_fill(exported *export, fer_tensor *held, const fer_tensor *source) {
    dl_managed *managed = &export->managed;
    export->tensor = held;
    managed->version.major = 1;
    managed->version.minor = 1;
    managed->manager = export;
    managed->deleter = exported_delete;
    managed->flags =
        (held->buffer->is_read_only ? DL_READ_ONLY : 0) | (held != source ? DL_IS_COPIED : 0);
    managed->tensor.data = held->buffer->host + held->offset;
    managed->tensor.device.type = DL_CPU;
    managed->tensor.ndim = (int32_t)held->rank;
    managed->tensor.dtype.code = (uint8_t)(codes[held->dtype] - 1);
    managed->tensor.dtype.bits = (uint8_t)fer_dtype_bits(held->dtype);
    managed->tensor.dtype.lanes = 1;
    managed->tensor.shape = held->dims;
    managed->tensor.strides = export->strides;
    int64_t stride = 1;
    for (uint32_t i = held->rank; i-- > 0;) {
        export->strides[i] = stride;
        stride = held->element_count ? stride * held->dims[i] : 1;
    }
}

fer_status fer_tensor_to_dlpack(fer_tensor *tensor,
                                uint64_t stream,
                                struct DLManagedTensorVersioned **out_managed) {
    (void)stream;
    if (!tensor || !out_managed) {
        return feri_null_argument(tensor ? "out_managed" : "tensor");
    }
    if (!codes[tensor->dtype]) {
        return feri_fail(
            FER_UNSUPPORTED, "DLPack has no code for %s tensors", fer_dtype_name(tensor->dtype));
    }
    fer_tensor *held = NULL;
    FER_TRY(feri_tensor_on_host(tensor, &held));
    exported *export = feri_alloc(feri_tensor_env(tensor), sizeof *export);
    if (!export) {
        fer_tensor_release(held);
        return feri_error_status();
    }
    exported_fill(export, held, tensor);
    *out_managed = &export->managed;
    return FER_OK;
}
