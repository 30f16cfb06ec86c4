// SPDX-License-Identifier: BSL-1.0
// BaseProcess::start(): from the object of a process to its running child.
#include "mp/detail/code_ref.hpp"
#include "mp/process.hpp"

#include "data/spawning.hpp"
#include "process/active_children.hpp"
#include "process/child_place.hpp"
#include "process/current_process.hpp"
#include "process/freeze_support.hpp"
#include "process/popen_fork.hpp"
#include "process/popen_forkserver.hpp"
#include "process/popen_spawn.hpp"
#include "process/preparation.hpp"
#include "process/process_body.hpp"
#include "process/process_child.hpp"
#include "process/process_state.hpp"
#include "process/resource_tracker_client.hpp"
#include "util/diagnostics.hpp"
#include "util/parent_watch.hpp"

#include <unistd.h>

#include <exception>
#include <system_error>
#include <utility>

namespace mp {

using detail::ProcessState;
using detail::self;

void BaseProcess::start() {
    begin_start();
    finish_start();
}

void detail::start_together(std::span<BaseProcess* const> processes) {
    std::exception_ptr first;
    const auto each = [&](auto step) {
        for (BaseProcess* const process : processes) {
            try {
                step(*process);
            } catch (...) {
                first = first ? first : std::current_exception();
            }
        }
    };
    each([](BaseProcess& process) { process.begin_start(); });
    each([](BaseProcess& process) { process.finish_start(); });
    if (first) {
        std::rethrow_exception(first);
    }
}

void BaseProcess::begin_start() {
    ProcessState& state = open_state();
    if (state.popen) {
        throw StateError("cannot start the process '" + name() + "' twice");
    }
    if (!state.creator.is_here()) {
        throw StateError("only the process that made '" + name() + "' can start it");
    }
    if (self().state->daemon) {
        throw StateError("daemonic processes are not allowed to have children");
    }
    detail::refuse_while_bootstrapping();
    detail::reap_ended_children();
    detail::join_children_at_exit();
    state.set_name(name());
    state.start_deadline.emplace(state.options.start_timeout);
    const StartMethod method =
        state.options.start_method ? *state.options.start_method : get_start_method();
    if (method == StartMethod::fork) {
        launch_fork();
    } else {
        launch_linked(method);
    }
}

void BaseProcess::finish_start() {
    ProcessState& state = *state_;
    if (const auto awaited = std::exchange(state.awaited, nullptr)) {
        try {
            awaited->await_start(*state.start_deadline);
        } catch (...) {
            detail::forget_child(state);
            awaited->kill_and_reap();
            state.popen.reset();
            throw;
        }
    }
    if (state.popen) {
        forget_target();
    }
}

void BaseProcess::launch_fork() {
    const detail::Preparation told = preparation();
    detail::Lifeline lifeline;
    if (told.die_with_parent) {
        lifeline = detail::Lifeline::make();
    }
    const detail::TrackerForFork tracker;
    state_->popen = detail::PopenFork::launch([&] {
        if (told.die_with_parent) {
            detail::set_parent_watch_fd(lifeline.childs_end());
        }
        detail::settle_in_fork(told, *this, state_);
        return detail::run_process_body(name(), [this] { run(); });
    });
    state_->popen->hold(std::move(lifeline));
    try {
        detail::remember_child(state_);
    } catch (const std::bad_alloc&) {
        state_->popen->kill_and_reap();
        state_->popen.reset();
        throw;
    }
}

void BaseProcess::launch_linked(StartMethod method) {
    const detail::ChildBody body = child_body();
    if (body == nullptr) {
        detail::throw_cannot_travel(
            "'" + name() + "', an object of class " + class_name() + ","
        );
    }
    detail::SpawningScope scope;
    detail::Preparation told = preparation();
    detail::Lifeline lifeline;
    if (told.die_with_parent) {
        lifeline = detail::Lifeline::make();
    }
    told.parent_watch_fd = detail::hand_over(
        lifeline ? lifeline.childs_fd() : detail::watch_pipe_for_children()
    );
    told.tracker_fd = detail::hand_over_resource_tracker();
    detail::ByteWriter message;
    detail::write_code_ref(message, reinterpret_cast<const void*>(body));
    told.write(message);
    encode(message);
    const auto fds = scope.take();
    const Deadline& deadline = *state_->start_deadline;
    std::shared_ptr<detail::LinkedPopen> popen;
    if (method == StartMethod::spawn) {
        const auto& options = state_->options;
        popen = detail::PopenSpawn::launch(
            {.environment = &options.environment,
             .directory = told.elsewhere ? told.directory : std::string()}
        );
    } else {
        popen = detail::PopenForkserver::launch(deadline);
    }
    popen->hold(std::move(lifeline));
    state_->popen = popen;
    try {
        // Before it can run: a thread that hears from it finds it among the children.
        detail::remember_child(state_);
        popen->send(message.data(), fds, scope.secrets(), deadline);
    } catch (...) {
        detail::forget_child(*state_);
        popen->kill_and_reap();
        state_->popen.reset();
        throw;
    }
    state_->awaited = std::move(popen);
}

detail::Preparation BaseProcess::preparation() const {
    detail::Preparation told;
    told.name = name();
    told.identity = state_->identity;
    told.authkey = state_->authkey;
    told.daemon = state_->daemon;
    told.die_with_parent = state_->options.die_with_parent;
    told.parent_name = self().state->name();
    told.parent_pid = ::getpid();
    told.start_method = get_start_method({.allow_none = true});
    told.log_level = detail::log_level();
    told.directory = detail::directory_of_child(state_->options.working_directory);
    detail::check_names(state_->options.environment);
    told.elsewhere = !state_->options.working_directory.empty();
    told.environment = state_->options.environment;
    return told;
}

}  // namespace mp
