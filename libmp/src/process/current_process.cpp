// SPDX-License-Identifier: BSL-1.0
// The process that we are: the program's first one, or the child that it has become.
#include "process/current_process.hpp"

#include "mp/process.hpp"

#include "util/diagnostics.hpp"

#include <memory>
#include <utility>

namespace mp {
namespace detail {
namespace {

// Set once in the life of a child, before it runs user code.
Self* child_self = nullptr;

Self make_main_self() {
    Self main;
    main.state = std::make_shared<ProcessState>();
    main.state->set_name("MainProcess");
    main.state->authkey = AuthenticationString::random();
    main.state->is_current = true;
    return main;
}

}  // namespace

Self& self() {
    if (child_self != nullptr) {
        return *child_self;
    }
    // Never destroyed: exit handlers of others may still ask who they are.
    static auto* const main_self = new Self(make_main_self());
    return *main_self;
}

void become(Self next) {
    child_self = new Self(std::move(next));
    child_self->state->is_current = true;
    set_log_process_name(child_self->state->name());
}

}  // namespace detail

BaseProcess& current_process() {
    detail::Self& here = detail::self();
    if (here.object == nullptr) {
        // The first process. Never destroyed, like everything that exit handlers may
        // use.
        here.object = new BaseProcess(here.state);
    }
    return *here.object;
}

}  // namespace mp
