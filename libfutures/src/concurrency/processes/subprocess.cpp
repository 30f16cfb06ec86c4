// SPDX-License-Identifier: BSL-1.0
#include "concurrency/subprocess.hpp"

#include "concurrency/checkpoint.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/processes/child_program.hpp"
#include "concurrency/processes/descriptor.hpp"
#include "concurrency/processes/launch.hpp"
#include "concurrency/task_group.hpp"

#include <signal.h>

#include <utility>

namespace concurrency {

using detail::ChildProgram;
using detail::Descriptor;

namespace {

std::shared_ptr<Descriptor> stream_of(mp::UniqueFd fd) {
    return fd ? std::make_shared<Descriptor>(std::move(fd)) : nullptr;
}

Task<Process>
start(const Command& command, const ProcessOptions::Values& options, Stdio in) {
    co_await checkpoint();
    detail::Launch launch = detail::prepare_launch(command, options, in);
    // All that can fail of ours, before there is a child.
    auto to_child = stream_of(std::move(launch.in));
    auto out = stream_of(std::move(launch.out));
    auto err = stream_of(std::move(launch.err));
    co_return Process(
        ChildProgram::start(launch.start, options.grace),
        std::move(to_child),
        std::move(out),
        std::move(err)
    );
}

Task<> give_input(ByteSendStream stream, const std::string& input) {
    try {
        co_await stream.send(input);
    } catch (const BrokenResourceError&) {
        // The child does not want all of it.
    }
    stream.close();
}

Task<> collect(ByteReceiveStream stream, std::string& text) {
    try {
        for (;;) {
            text += co_await stream.receive();
        }
    } catch (const EndOfStream&) {
        // That is all.
    }
}

Task<> wait_for_end(std::shared_ptr<ChildProgram> child, bool failed) {
    std::exception_ptr error;
    if (!failed) {
        try {
            co_await ChildProgram::wait(child);
        } catch (...) {
            error = std::current_exception();
        }
    }
    if (failed || error) {
        co_await ChildProgram::end(child);
    }
    if (error) {
        std::rethrow_exception(error);
    }
}

}  // namespace

Process::Process(
    std::shared_ptr<ChildProgram> child,
    std::shared_ptr<Descriptor> in,
    std::shared_ptr<Descriptor> out,
    std::shared_ptr<Descriptor> err
)
    : child_(std::move(child)) {
    if (in) {
        in_.emplace(std::move(in));
    }
    if (out) {
        out_.emplace(std::move(out));
    }
    if (err) {
        err_.emplace(std::move(err));
    }
}

Process& Process::operator=(Process&& other) noexcept {
    if (this != &other) {
        const Process before(std::move(*this));
        child_ = std::move(other.child_);
        in_ = std::move(other.in_);
        out_ = std::move(other.out_);
        err_ = std::move(other.err_);
    }
    return *this;
}

Process::~Process() {
    if (child_) {
        close_streams();
        child_->leave();
    }
}

void Process::close_streams() noexcept {
    if (in_) {
        in_->close();
    }
    if (out_) {
        out_->close();
    }
    if (err_) {
        err_->close();
    }
}

pid_t Process::pid() const noexcept {
    return child_->pid();
}

std::optional<int> Process::returncode() const noexcept {
    return child_->code();
}

ByteSendStream& Process::stdin() {
    if (!in_) {
        throw RuntimeError("the standard input of this process is no pipe");
    }
    return *in_;
}

ByteReceiveStream& Process::stdout() {
    if (!out_) {
        throw RuntimeError("the standard output of this process is no pipe");
    }
    return *out_;
}

ByteReceiveStream& Process::stderr() {
    if (!err_) {
        throw RuntimeError("the standard error of this process is no pipe");
    }
    return *err_;
}

Task<int> Process::wait() {
    return ChildProgram::wait(child_);
}

void Process::send_signal(int signal) {
    child_->send_signal(signal);
}

void Process::terminate() {
    send_signal(SIGTERM);
}

void Process::kill() {
    send_signal(SIGKILL);
}

Task<> Process::aclose() {
    return leave_block(false);
}

Task<> Process::leave_block(bool failed) {
    // A child that waits for its reader, or its input, ends by that.
    close_streams();
    return wait_for_end(child_, failed);
}

Task<Process> open_process(Command command, ProcessOptions options) {
    const ProcessOptions::Values& values = options.values();
    if (values.input) {
        throw ValueError("open_process() takes no input: write it to stdin()");
    }
    co_return co_await start(command, values, values.in.value_or(PIPE));
}

Task<CompletedProcess> run_process(Command command, ProcessOptions options) {
    const ProcessOptions::Values& values = options.values();
    if (values.input && values.in) {
        throw ValueError("run_process() takes either input or stdin");
    }
    const Stdio in = values.input ? PIPE : values.in.value_or(Stdio(std::nullopt));
    if (in.kind() == Stdio::Kind::pipe && !values.input) {
        throw ValueError("run_process() has nobody who writes to a pipe: give it input"
        );
    }
    Process process = co_await start(command, values, in);
    std::string out;
    std::string err;
    auto talk = [&](TaskGroup& group) -> Task<> {
        if (values.input) {
            group.start_soon([&] { return give_input(process.stdin(), *values.input); }
            );
        }
        if (values.err.kind() == Stdio::Kind::pipe) {
            group.start_soon([&] { return collect(process.stderr(), err); });
        }
        if (values.out.kind() == Stdio::Kind::pipe) {
            co_await collect(process.stdout(), out);
        }
    };
    std::exception_ptr error;
    try {
        co_await create_task_group(talk);
    } catch (...) {
        error = std::current_exception();
    }
    co_await process.leave_block(error != nullptr);
    if (error) {
        std::rethrow_exception(error);
    }
    CompletedProcess completed(
        command.arguments(), *process.returncode(), std::move(out), std::move(err)
    );
    if (values.check) {
        completed.check_returncode();
    }
    co_return completed;
}

}  // namespace concurrency
