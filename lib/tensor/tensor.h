/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of fer_tensor and fer_value, and the buffer they share. A buffer is memory somewhere
 * with a way to read and write it; the host's is here, devices' are filled in by device/.
 */
#ifndef FERI_TENSOR_TENSOR_H
#define FERI_TENSOR_TENSOR_H

#include "base/env.h"
#include "base/later.h"

typedef struct feri_buffer feri_buffer;

typedef struct feri_buffer_ops {
    /* Between buffer memory and host memory. */
    fer_status (*read)(feri_buffer *buffer, uint64_t offset, void *out_data, uint64_t bytes);
    fer_status (*write)(feri_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes);
    /* Frees the memory (not the struct, which the caller of free owns). */
    void (*free)(feri_buffer *buffer);
    /* Between two buffers of these very ops; NULL: through host memory. */
    fer_status (*copy)(feri_buffer *to,
                       uint64_t to_offset,
                       feri_buffer *from,
                       uint64_t from_offset,
                       uint64_t bytes);
    /* A host address of a piece until unmap, which lets the device see what was written there;
     * UNSUPPORTED without a sentence: copy. NULL: copy. */
    fer_status (*map)(feri_buffer *buffer, uint64_t offset, uint64_t bytes, void **out_host);
    fer_status (*unmap)(feri_buffer *buffer, uint64_t offset, uint64_t bytes, void *host);
    /* Where the memory is; NULL: the host's own. */
    fer_device *(*device)(const feri_buffer *buffer);
} feri_buffer_ops;

struct feri_buffer {
    feri_later later; /* first: imported memory whose release must wait */
    atomic_uint refs;
    uint32_t is_read_only;
    feri_env *env; /* retained */
    const feri_buffer_ops *ops;
    void *owner;   /* device/: the feri_session, retained; NULL for the host's own memory */
    void *handle;  /* device/: fer_mem.handle, NULL where the device computes in host memory */
    uint8_t *host; /* host address, NULL if the host cannot reach it */
    uint64_t bytes;
    uint64_t alignment;     /* as allocated, for free */
    fer_release_fn release; /* imported memory */
    void *release_self;
    void *release_memory;
};

/* Zeroed host memory, aligned to 64. */
fer_status feri_buffer_create(feri_env *env, uint64_t bytes, feri_buffer **out_buffer);
/* Borrowed host memory. On failure release has fired. */
fer_status feri_buffer_import(feri_env *env,
                              void *memory,
                              uint64_t bytes,
                              int is_read_only,
                              fer_release_fn release,
                              void *release_self,
                              feri_buffer **out_buffer);
feri_buffer *feri_buffer_retain(feri_buffer *buffer);
void feri_buffer_release(feri_buffer *buffer);

struct fer_tensor {
    atomic_uint refs;
    fer_dtype dtype;
    uint32_t rank;
    uint32_t is_window; /* mapped is the device's own, not a copy */
    feri_buffer
        *buffer;     /* retained; strings: element_count + 1 uint64_t end offsets, then the bytes */
    uint64_t offset; /* bytes into the buffer */
    uint64_t element_count;
    uint64_t bytes;
    void *mapped; /* between map and unmap, where a copy is needed */
    int64_t dims[FER_MAX_RANK];
};

/* Checks dtype, rank, dims against the limits and gives element count and bytes. */
fer_status feri_shape_check(const feri_env *env,
                            fer_dtype dtype,
                            uint32_t rank,
                            const int64_t *dims,
                            uint64_t *out_count,
                            uint64_t *out_bytes);
/* A tensor over part of a buffer (retains it). bytes must fit. */
fer_status feri_tensor_on_buffer(feri_buffer *buffer,
                                 uint64_t offset,
                                 fer_dtype dtype,
                                 uint32_t rank,
                                 const int64_t *dims,
                                 fer_tensor **out_tensor);
/* A tensor over all of a buffer, whose reference it takes over, also on failure. */
fer_status feri_tensor_take_buffer(feri_buffer *buffer,
                                   fer_dtype dtype,
                                   uint32_t rank,
                                   const int64_t *dims,
                                   fer_tensor **out_tensor);
/* Whether both have the same dtype and shape. */
int feri_tensors_alike(const fer_tensor *a, const fer_tensor *b);
/* A copy in host memory of its own. */
fer_status feri_tensor_clone(feri_env *env, const fer_tensor *source, fer_tensor **out_tensor);
/* The tensor itself, or a copy where the host cannot reach its memory; a reference of the caller's.
 */
fer_status feri_tensor_on_host(fer_tensor *tensor, fer_tensor **out_tensor);
static inline feri_env *feri_tensor_env(const fer_tensor *tensor) { return tensor->buffer->env; }

struct fer_value {
    atomic_uint refs;
    int32_t kind;
    feri_env *env; /* retained */
    fer_tensor *tensor;
    fer_value **items; /* behind the value; NULL for tensors */
    uint64_t count;
    uint32_t depth; /* of nesting: 0 for tensors */
};

/* A value that holds items (none of them NULL), which fit its kind. */
fer_status feri_value_of_items(fer_context *context,
                               int32_t kind,
                               fer_value *const *items,
                               uint64_t count,
                               fer_value **out_value);

#endif
