// SPDX-License-Identifier: BSL-1.0
// The beginning of a child: it becomes the process that its parent described.
#include "process/process_child.hpp"

#include "mp/process.hpp"

#include "process/child_place.hpp"
#include "process/current_process.hpp"
#include "process/process_body.hpp"
#include "util/diagnostics.hpp"
#include "util/parent_watch.hpp"

#include <unistd.h>

#include <memory>
#include <utility>

namespace mp::detail {
namespace {

Self self_from(const Preparation& told, std::shared_ptr<ProcessState> state) {
    state->identity = told.identity;
    state->authkey = told.authkey;
    state->daemon = told.daemon;
    state->set_name(told.name);
    Self next;
    next.state = std::move(state);
    next.parent.emplace(told.parent_pid, told.parent_name);
    return next;
}

}  // namespace

void settle_in_fork(
    const Preparation& told,
    BaseProcess& object,
    const std::shared_ptr<ProcessState>& state
) {
    Self next = self_from(told, state);
    next.object = &object;
    become(std::move(next));
    change_environment(told.environment);
    if (told.elsewhere && ::chdir(told.directory.c_str()) != 0) {
        log_error("the working directory is gone: " + told.directory);
    }
    if (told.die_with_parent) {
        die_with_parent();
    }
}

int run_child_process(Preparation&& preparation, const MakeProcess& make) {
    become(self_from(preparation, std::make_shared<ProcessState>()));
    preparation.authkey = {};  // a key that is replaced later is to be gone
    return run_process_body(preparation.name, [&] {
        // Never destroyed before exit: current_process() is this object until the end.
        BaseProcess* const object = make().release();
        object->state_ = self().state;
        self().object = object;
        object->run();
    });
}

}  // namespace mp::detail
