// SPDX-License-Identifier: BSL-1.0
#include "mp/process.hpp"

#include "mp/detail/code_ref.hpp"

#include "data/spawning.hpp"
#include "os/check.hpp"
#include "os/fork.hpp"
#include "os/poll.hpp"
#include "process/own_program.hpp"
#include "process/popen_fork.hpp"
#include "process/popen_forkserver.hpp"
#include "process/popen_spawn.hpp"
#include "process/preparation.hpp"
#include "process/process_body.hpp"
#include "process/process_state.hpp"
#include "process/resource_tracker_client.hpp"
#include "util/diagnostics.hpp"
#include "util/parent_watch.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <filesystem>
#include <typeinfo>

namespace mp {

using detail::ProcessState;
using detail::self;

BaseProcess::BaseProcess(ProcessOptions options)
    : state_(std::make_shared<ProcessState>()) {
    const ProcessState& creator = *self().state;
    state_->identity = creator.identity;
    state_->identity.push_back(detail::next_child_number());
    state_->daemon = options.daemon.value_or(creator.daemon);
    state_->authkey = creator.authkey;
    state_->set_name(options.name);
    state_->options = std::move(options);
}

BaseProcess::BaseProcess(std::shared_ptr<ProcessState> state) noexcept
    : state_(std::move(state)) {}

BaseProcess::BaseProcess(BaseProcess&&) noexcept = default;
BaseProcess& BaseProcess::operator=(BaseProcess&&) noexcept = default;
BaseProcess::~BaseProcess() = default;

// ----------------------------------------------------------------------------------
// start

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
    state_->popen = detail::PopenFork::launch([&] {
        detail::settle_in_fork(told, *this, state_);
        return detail::run_process_body(name(), [this] { run(); });
    });
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
    told.alive_fd = detail::hand_over(detail::watch_pipe_for_children());
    told.tracker_fd = detail::hand_over_resource_tracker();
    detail::ByteWriter message;
    detail::write_code_ref(message, reinterpret_cast<const void*>(body));
    told.write(message);
    encode(message);
    const auto fds = scope.take();
    const Deadline& deadline = *state_->start_deadline;
    std::shared_ptr<detail::LinkedPopen> popen;
    if (method == StartMethod::spawn) {
        popen = detail::PopenSpawn::launch();
    } else {
        popen = detail::PopenForkserver::launch(deadline);
    }
    state_->popen = popen;
    try {
        // Before it can run: whoever hears from it finds it among the children.
        detail::remember_child(state_);
        popen->send(message.data(), fds, deadline);
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
    std::error_code gone;
    told.directory = std::filesystem::current_path(gone).string();
    return told;
}

// ----------------------------------------------------------------------------------
// watching

ProcessState& BaseProcess::open_state() const {
    if (state_ == nullptr || state_->closed) {
        throw StateError("the process object is closed");
    }
    return *state_;
}

ProcessState& BaseProcess::started_state(const char* what) const {
    ProcessState& state = open_state();
    if (state.is_current) {
        throw StateError(std::string(what) + ": a process cannot do this to itself");
    }
    if (!state.creator.is_here()) {
        throw StateError(
            std::string(what) + ": '" + name() + "' is not a child of this process"
        );
    }
    if (!state.popen) {
        throw StateError(std::string(what) + ": '" + name() + "' was not started");
    }
    return state;
}

bool BaseProcess::join(Timeout timeout) {
    started_state("join");
    return handle().join(timeout);
}

bool BaseProcess::is_alive() const {
    ProcessState& state = open_state();
    if (state.is_current) {
        return true;
    }
    if (!state.creator.is_here()) {
        throw StateError("is_alive: '" + name() + "' is not a child of this process");
    }
    return state.popen && handle().is_alive();
}

std::optional<int> BaseProcess::exitcode() const {
    ProcessState& state = open_state();
    if (state.is_current || !state.popen) {
        return std::nullopt;
    }
    return handle().exitcode();
}

pid_t BaseProcess::pid() const {
    ProcessState& state = open_state();
    if (state.is_current) {
        return ::getpid();
    }
    return state.popen ? state.popen->pid() : 0;
}

int BaseProcess::sentinel() const {
    return started_state("sentinel").popen->sentinel();
}

void BaseProcess::terminate() {
    started_state("terminate").popen->send_signal(SIGTERM);
}

void BaseProcess::kill() {
    started_state("kill").popen->send_signal(SIGKILL);
}

void BaseProcess::interrupt() {
    started_state("interrupt").popen->send_signal(SIGINT);
}

void BaseProcess::close() {
    if (state_ == nullptr || state_->closed) {
        return;
    }
    if (state_->popen && state_->creator.is_here()) {
        if (!state_->popen->poll()) {
            throw StateError(
                "cannot close the process '" + name() +
                "' while it runs: join() or "
                "terminate() it first"
            );
        }
        detail::forget_child(*state_);
    }
    state_->closed = true;
    state_->popen.reset();
}

ProcessHandle BaseProcess::handle() const {
    started_state("handle");
    return ProcessHandle(state_, state_->popen);
}

// ----------------------------------------------------------------------------------
// names

std::string BaseProcess::name() const {
    std::string given = open_state().name();
    if (given.empty()) {
        given = class_name() + "-" + detail::identity_text(state_->identity);
    }
    return given;
}

void BaseProcess::set_name(std::string name) {
    if (name.empty()) {
        throw std::invalid_argument("the name of a process must not be empty");
    }
    open_state().set_name(std::move(name));
}

std::string BaseProcess::class_name() const {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(
        abi::__cxa_demangle(typeid(*this).name(), nullptr, nullptr, &status), std::free
    );
    std::string name = text ? text.get() : "Process";
    name = name.substr(0, name.find('<'));
    const auto scope = name.rfind("::");
    return scope == std::string::npos ? name : name.substr(scope + 2);
}

bool BaseProcess::daemon() const {
    return open_state().daemon;
}

void BaseProcess::set_daemon(bool daemon) {
    ProcessState& state = open_state();
    if (state.popen) {
        throw StateError("the process '" + name() + "' has already started");
    }
    state.daemon = daemon;
}

const AuthenticationString& BaseProcess::authkey() const {
    return open_state().authkey;
}

void BaseProcess::set_authkey(AuthenticationString key) {
    open_state().authkey = std::move(key);
}

// ----------------------------------------------------------------------------------
// Process

void Process::run() {
    if (target_) {
        target_->run();
    }
}

void Process::forget_target() noexcept {
    target_.reset();
}

void Process::bind(StartMethod method) {
    state_->options.start_method = method;
    switch (method) {
    case StartMethod::fork:
        class_name_ = "ForkProcess";
        break;
    case StartMethod::spawn:
        class_name_ = "SpawnProcess";
        break;
    case StartMethod::forkserver:
        class_name_ = "ForkServerProcess";
        break;
    }
}

std::string Process::class_name() const {
    return class_name_;
}

// ----------------------------------------------------------------------------------
// handles

ProcessHandle::ProcessHandle(
    std::shared_ptr<ProcessState> state, std::shared_ptr<detail::Popen> popen
) noexcept
    : state_(std::move(state)), popen_(std::move(popen)) {}

std::string ProcessHandle::name() const {
    return state_->name();
}

pid_t ProcessHandle::pid() const {
    return popen_->pid();
}

bool ProcessHandle::daemon() const {
    return state_->daemon;
}

int ProcessHandle::sentinel() const {
    return popen_->sentinel();
}

bool ProcessHandle::is_alive() const {
    return !exitcode().has_value();
}

std::optional<int> ProcessHandle::exitcode() const {
    const auto code = popen_->poll();
    if (code) {
        detail::forget_child(*state_);
    }
    return code;
}

bool ProcessHandle::join(Timeout timeout) const {
    return popen_->wait(Deadline(timeout)) && exitcode().has_value();
}

void ProcessHandle::terminate() const {
    popen_->send_signal(SIGTERM);
}

void ProcessHandle::kill() const {
    popen_->send_signal(SIGKILL);
}

void ProcessHandle::interrupt() const {
    popen_->send_signal(SIGINT);
}

// ----------------------------------------------------------------------------------
// parent

bool ParentProcess::is_alive() const {
    return !join(std::chrono::seconds(0));
}

bool ParentProcess::join(Timeout timeout) const {
    return os::wait_readable(sentinel(), Deadline(timeout));
}

int ParentProcess::sentinel() const noexcept {
    return detail::parent_watch_fd();
}

}  // namespace mp
