// SPDX-License-Identifier: BSL-1.0
// BaseProcess and Process: the object of a process, as a program watches and names it.
// How it starts is in process_start.cpp, what its child does in process_child.cpp.
#include "mp/process.hpp"

#include "mp/errors.hpp"

#include "process/active_children.hpp"
#include "process/current_process.hpp"
#include "process/popen.hpp"
#include "process/process_state.hpp"
#include "util/demangle.hpp"

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>

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
    std::string name = detail::demangled(typeid(*this).name());
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

Process::Process(std::unique_ptr<detail::Target> target) : target_(std::move(target)) {}

void Process::run() {
    if (target_) {
        target_->run();
    }
}

void Process::forget_target() noexcept {
    target_.reset();
}

detail::ChildBody Process::child_body() const {
    return &Process::body_of_child;
}

void Process::encode(detail::ByteWriter& out) const {
    out.put_value(static_cast<std::uint8_t>(target_ != nullptr));
    if (target_) {
        target_->encode(out);
    }
}

int Process::body_of_child(detail::Preparation&& preparation, detail::ByteReader& in) {
    return detail::run_child_process(std::move(preparation), [&] {
        std::unique_ptr<detail::Target> target;
        if (in.get_value<std::uint8_t>() != 0) {
            target = detail::decode_target(in);
        }
        return std::unique_ptr<BaseProcess>(new Process(std::move(target)));
    });
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

}  // namespace mp
