/* SPDX-License-Identifier: Apache-2.0
 */
#include "import/importer.h"
fer_status feri_upgrade_and_append(feri_importer *im, fer_graph *graph, feri_draft *draft) {
    return feri_import_append(im, graph, draft);
}
