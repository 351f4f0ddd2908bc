/* SPDX-License-Identifier: Apache-2.0
 *
 * Import of ONNX models: ModelProto, opsets, and the public functions. What comes out is a
 * verified, finished graph of the newest opset whose constants lie in the model's bytes.
 */
#include "base/error.h"
#include "base/fpmode.h"
#include "ferrule/op_selection.h"
#include "graph/gradient.h"
#include "import/importer.h"

#include <string.h>

#define OLDEST_IR 3

/* ---- opsets ---- */

void feri_domain_short(feri_span *domain) {
    if (feri_span_is(domain, "ai.onnx")) {
        domain->length = 0;
    }
}

static fer_status check_opset(feri_opset *opset) {
    static const char others[] = "\5ai.onnx.ml\0\1ai.onnx.preview\0\1ai.onnx.preview.training\0"
                                 "\1com.microsoft\0\1ferrule\0";
    feri_span *domain = &opset->base.name;
    feri_domain_short(domain);
    int64_t newest = domain->length == 0 ? FERI_ONNX_OPSET : INT64_MAX;
    for (const char *known = others; *known != '\0'; known += strlen(known) + 1) {
        if (feri_span_is(domain, known + 1)) {
            newest = *known;
        }
    }
    if (opset->version >= 1 && opset->version <= newest) {
        return FER_OK;
    }
    return feri_fail(opset->version < 1 ? FER_INVALID_MODEL : FER_UNSUPPORTED,
                     "the model uses opset %lld of domain '%.*s'; opsets begin at 1, and this "
                     "library knows up to opset %lld",
                     (long long)opset->version,
                     FERI_SPAN_SHOWN(*domain),
                     (long long)newest);
}

fer_status
feri_import_opsets(feri_importer *im, const feri_spans *messages, feri_opsets *out_opsets) {
    static const uint8_t table[] = FERI_TABLE(feri_opset,
                                              FERI_ROW(feri_opset, 1, FERI_SPAN, base.name),
                                              FERI_ROW(feri_opset, 2, FERI_INT, version));
    out_opsets->list = FERI_BUMP_ARRAY(im->scratch, feri_opset, messages->count);
    if (out_opsets->list == NULL) {
        return feri_error_status();
    }
    for (uint32_t o = 0; o < messages->count; o++) {
        feri_opset *opset = &out_opsets->list[o];
        FER_TRY(feri_message_read(im->scratch, "opset_import", &messages->list[o], table, opset));
        FER_TRY(check_opset(opset));
        out_opsets->count++;
    }
    return FER_OK;
}

/* ---- the model ---- */

typedef struct model_view {
    feri_message base;
    int64_t ir_version;
    feri_span graph;
    feri_spans opsets;
    feri_spans functions;
} model_view;

static fer_status read_model(feri_importer *im, const feri_span *message, model_view *view) {
    static const uint8_t table[] = FERI_TABLE(model_view,
                                              FERI_ROW(model_view, 1, FERI_INT, ir_version),
                                              FERI_ROW(model_view, 7, FERI_SPAN, graph),
                                              FERI_ROW(model_view, 8, FERI_SPANS, opsets),
                                              FERI_ROW(model_view, 25, FERI_SPANS, functions));
    FER_TRY(feri_message_read(im->scratch, "this is no ONNX model: it", message, table, view));
    if (view->graph.data == NULL && view->ir_version >= OLDEST_IR) {
        return feri_fail(FER_INVALID_MODEL, "the model has no graph: is the file cut off?");
    }
    if (view->ir_version < OLDEST_IR) {
        int is_other = view->graph.data == NULL || view->ir_version < 1;
        return feri_fail(
            is_other ? FER_INVALID_MODEL : FER_UNSUPPORTED,
            "this is no ONNX model, or one of IR version %lld; versions from %d on are "
            "supported: convert it with onnx.version_converter",
            (long long)view->ir_version,
            OLDEST_IR);
    }
    im->ir_version = view->ir_version;
    return FER_OK;
}

static fer_status import_main_graph(feri_importer *im, const feri_span *message) {
    feri_scope scope;
    FER_TRY(feri_scope_init(&scope, im, /*outer=*/NULL, im->root));
    scope.opsets = &im->opsets;
    fer_status status = feri_import_graph(&scope, message);
    feri_scope_finish(&scope);
    return status;
}

static fer_status import_model(feri_importer *im, const feri_span *message) {
    model_view view;
    FER_TRY(read_model(im, message, &view));
    FER_TRY(feri_import_opsets(im, &view.opsets, &im->opsets));
    FER_TRY(feri_import_functions(im, &view.functions));
    FER_TRY(import_main_graph(im, &view.graph));
    FER_TRY(feri_graph_verify(im->root));
    if (im->is_unordered) {
        FER_TRY(feri_graph_infer_known(im->root));
    }
    if (FERI_HAS_OP(training_Gradient)) {
        FER_TRY(feri_graph_differentiate(im->root));
    }
    FER_TRY(feri_graph_describe(im->root));
    im->root->is_finished = 1;
    return FER_OK;
}

/* The whole file as a tensor, so that the graph holds it. */
static fer_status hold_file(feri_source *source, fer_graph *graph) {
    int64_t dim = (int64_t)source->model->bytes;
    if (dim < 0 || source->model->bytes > source->env->limits.max_tensor_bytes) {
        return FER_OK; /* its tensors hold it all the same */
    }
    return feri_tensor_on_buffer(source->model, 0, FER_U8, 1, &dim, &graph->file);
}

static fer_status import_source(feri_source *source, fer_graph **out_graph) {
    feri_importer im;
    memset(&im, 0, sizeof(im));
    im.env = source->env;
    im.source = source;
    im.scratch = &source->scratch;
    FER_TRY(feri_graph_create(im.env, /*parent=*/NULL, &im.root));
    feri_name_map_init(&im.function_names, im.env);
    fer_status status = hold_file(source, im.root);
    if (status == FER_OK) {
        feri_fpmode mode = feri_fpmode_enter(); /* inference computes small values */
        feri_span model = {source->model->host, source->model->bytes};
        status = import_model(&im, &model);
        feri_fpmode_leave(mode);
    }
    feri_name_map_finish(&im.function_names);
    if (status != FER_OK) {
        feri_graph_destroy(im.root);
        return status;
    }
    *out_graph = im.root;
    return FER_OK;
}

/* ---- public ---- */

fer_status fer_graph_import_file(fer_context *context,
                                 const char *path,
                                 const fer_import_options *options,
                                 fer_graph **out_graph) {
    fer_import_options full;
    if (context == NULL || path == NULL || out_graph == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "fer_graph_import_file: an argument is NULL");
    }
    FER_TRY(feri_struct_in(&full, sizeof(full), options, "fer_import_options"));
    feri_source source;
    feri_source_init(&source, feri_env_of(context));
    fer_status status = feri_source_open(&source, path, full.map_file != 0);
    if (status == FER_OK) {
        status = import_source(&source, out_graph);
        if (status != FER_OK) {
            feri_error_prefix("'%s'", path);
        }
    }
    feri_source_finish(&source);
    return status;
}

fer_status fer_graph_import_memory(fer_context *context,
                                   const void *data,
                                   uint64_t bytes,
                                   const fer_import_options *options,
                                   fer_release_fn release,
                                   void *release_self,
                                   fer_graph **out_graph) {
    feri_env *env = feri_env_of(context);
    void *memory = (void *)(uintptr_t)data;
    fer_import_options full;
    fer_status status;
    if (context == NULL || (data == NULL && bytes > 0) || out_graph == NULL) {
        status = feri_fail(FER_INVALID_ARGUMENT, "fer_graph_import_memory: an argument is NULL");
    } else if (bytes > env->limits.max_model_bytes) {
        status = feri_fail(FER_LIMIT,
                           "the model has %llu bytes, more than max_model_bytes allows (%llu)",
                           (unsigned long long)bytes,
                           (unsigned long long)env->limits.max_model_bytes);
    } else {
        status = feri_struct_in(&full, sizeof(full), options, "fer_import_options");
    }
    if (status != FER_OK) {
        if (release != NULL) {
            release(release_self, memory);
        }
        return status;
    }
    feri_source source;
    feri_source_init(&source, env);
    source.total_bytes = bytes;
    if (release != NULL) {
        status = feri_buffer_import(
            env, memory, bytes, /*is_read_only=*/1, release, release_self, &source.model);
    } else {
        status = feri_buffer_create(env, bytes, &source.model);
        if (status == FER_OK && bytes > 0) {
            memcpy(source.model->host, data, bytes);
        }
    }
    if (status == FER_OK && full.base_folder != NULL) {
        status = feri_source_open_folder(&source, full.base_folder);
    }
    if (status == FER_OK) {
        status = import_source(&source, out_graph);
    }
    feri_source_finish(&source);
    return status;
}
