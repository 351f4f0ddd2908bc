/* SPDX-License-Identifier: Apache-2.0
 *
 * The check wrapper from the inside. Its execs and instances hold the inner device's and the
 * reference backend's side by side; memory, streams and events are the inner device's own.
 */
#ifndef FERI_CHECK_CHECK_H
#define FERI_CHECK_CHECK_H

#include "kit/forward.h"

/* How far results may differ: |got - expected| <= relative * |expected| + absolute. From the
 * options line: "rtol=1e-3 atol=1e-5". */
typedef struct feri_check_limits {
    double relative;
    double absolute;
} feri_check_limits;

typedef struct feri_check_backend {
    const fer_host *host;
    const fer_backend_module *inner;
    void *handle; /* the inner backend */
    const fer_backend_module *reference;
    void *reference_handle;
    feri_check_limits limits;
} feri_check_backend;

typedef struct feri_check_device {
    feri_kit_forward to; /* first: forwarded slots see this */
    const fer_host *host;
    const fer_backend_module *reference;
    void *reference_handle; /* an open device of the reference backend */
    feri_check_limits limits;
    uint32_t index;
} feri_check_device;

typedef struct feri_check_exec {
    void *inner;
    void *reference; /* NULL: the reference does not run this graph, or its results are random */
    const fer_subgraph *graph;
    fer_mem *constants; /* row-major copies for the reference: prepared ones are not readable */
} feri_check_exec;

typedef struct feri_check_instance {
    const feri_check_exec *exec;
    void *inner;
    void *reference;
} feri_check_instance;

/* What the inner device made of args, computed again by the reference and compared (check_run.c).
 * The inner run is over. BACKEND with the output, the element and both numbers where they differ.
 */
fer_status feri_check_run(const feri_check_device *device,
                          const feri_check_instance *instance,
                          const fer_run_args *args);

#endif
