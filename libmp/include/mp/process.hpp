// SPDX-License-Identifier: BSL-1.0
// Process: an activity that runs in a process of its own.
// Python:  multiprocessing.Process, process.BaseProcess, current_process,
// parent_process,
//          active_children.
// Differs: arguments are typed and checked; a subclass that overrides run() is either a
//          ProcessOf<T> (any start method) or runs under fork only. terminate() before
//          start() is a StateError. ~Process neither kills nor joins.
// Threads: one object, one thread at a time; join, is_alive and exitcode any number.
// Throws:  SpawnError, BinaryMismatch, StateError.     Read next: src/process.cpp
#pragma once

#include "mp/call.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/creator.hpp"
#include "mp/errors.hpp"
#include "mp/identity.hpp"
#include "mp/start_method.hpp"
#include "mp/timeout.hpp"

#include <sys/types.h>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace mp {

class BaseProcess;
class ProcessHandle;

std::vector<ProcessHandle> active_children();

namespace detail {

class Popen;
struct Preparation;
struct ProcessState;

/// What a child of another program image does once it knows who it is; returns its exit
/// code.
using ChildBody = int (*)(Preparation&& preparation, ByteReader& in);

/// Becomes the process that `preparation` describes, makes its object and runs it.
int run_child_process(
    Preparation&& preparation, const std::function<std::unique_ptr<BaseProcess>()>& make
);

/// Starts them all, then waits for all: their start-up times overlap. If one cannot be
/// started the others are started nevertheless; then the first error is thrown.
void start_together(std::span<BaseProcess* const> processes);

}  // namespace detail

struct ProcessOptions {
    /// "Process-1", "Process-1:2" … if empty.
    std::string name{};
    /// Daemons are terminated when their parent exits, and may have no children. As the
    /// creating process if not given.
    std::optional<bool> daemon{};
    /// The default start method if not given.
    std::optional<StartMethod> start_method{};
    /// The kernel kills the child as soon as its parent is gone. Otherwise it lives on.
    bool die_with_parent = false;
    /// How long start() waits for the child to say that it runs.
    Timeout start_timeout = std::chrono::seconds(30);
};

/// A copyable view of a started child.
class ProcessHandle {
public:
    std::string name() const;
    pid_t pid() const;
    pid_t ident() const { return pid(); }
    bool daemon() const;
    int sentinel() const;
    bool is_alive() const;
    std::optional<int> exitcode() const;
    bool join(Timeout timeout = forever) const;
    void terminate() const;
    void kill() const;
    void interrupt() const;

private:
    friend class BaseProcess;
    friend std::vector<ProcessHandle> active_children();
    ProcessHandle(
        std::shared_ptr<detail::ProcessState> state,
        std::shared_ptr<detail::Popen> popen
    ) noexcept;

    std::shared_ptr<detail::ProcessState> state_;
    std::shared_ptr<detail::Popen> popen_;
};

class BaseProcess {
public:
    explicit BaseProcess(ProcessOptions options = {});
    BaseProcess(BaseProcess&&) noexcept;
    BaseProcess& operator=(BaseProcess&&) noexcept;
    BaseProcess(const BaseProcess&) = delete;
    BaseProcess& operator=(const BaseProcess&) = delete;
    /// Neither kills nor joins: a running child stays in active_children() and is
    /// joined at exit.
    virtual ~BaseProcess();

    /// What the process does; runs in the child.
    virtual void run() {}

    /// Starts the child; returns when it has said that it runs.
    /// Throws StateError (started before, a daemon's child, still bootstrapping),
    /// SpawnError, BinaryMismatch. Afterwards this object keeps neither the target nor
    /// its arguments.
    void start();

    /// Waits for the end of the child; returns whether it has ended. Throws StateError
    /// before start(), in another process than the one that started it, and after
    /// close().
    bool join(Timeout timeout = forever);

    bool is_alive() const;

    /// Nothing while it runs; then its exit code, or -N if signal N ended it. 255 if
    /// nobody can tell any more (its fork server was killed, somebody else reaped it).
    std::optional<int> exitcode() const;

    /// 0 before start().
    pid_t pid() const;
    pid_t ident() const { return pid(); }

    std::string name() const;
    void set_name(std::string name);

    bool daemon() const;
    /// Throws StateError after start().
    void set_daemon(bool daemon);

    const AuthenticationString& authkey() const;
    void set_authkey(AuthenticationString key);

    /// A descriptor that is readable from the moment the child has ended. Stays the
    /// library's.
    int sentinel() const;

    /// SIGTERM. Its exit handlers do not run and its own children live on.
    void terminate();
    /// SIGKILL.
    void kill();
    /// SIGINT; ends a child that does not handle it with exit code -2.
    void interrupt();

    /// Forgets the child. Throws StateError while it runs.
    void close();

    /// A view that outlives this object. Throws StateError before start().
    ProcessHandle handle() const;

protected:
    /// The function that makes this object again in another program image, or nullptr.
    virtual detail::ChildBody child_body() const { return nullptr; }

    /// What that function reads.
    virtual void encode(detail::ByteWriter&) const {}

    /// Called in the parent once the child has its copy.
    virtual void forget_target() noexcept {}

    /// "Process", or the subclass's own name.
    virtual std::string class_name() const;

private:
    friend int detail::
        run_child_process(detail::Preparation&&, const std::function<std::unique_ptr<BaseProcess>()>&);
    friend void detail::start_together(std::span<BaseProcess* const>);

    /// The object of a process that exists already.
    explicit BaseProcess(std::shared_ptr<detail::ProcessState> state) noexcept;
    friend BaseProcess& current_process();

    friend class Process;
    void begin_start();
    void finish_start();
    void launch_fork();
    void launch_linked(StartMethod method);
    detail::Preparation preparation() const;
    detail::ProcessState& open_state() const;
    detail::ProcessState& started_state(const char* what) const;

    std::shared_ptr<detail::ProcessState> state_;
};

namespace detail {

/// A callable and its arguments, kept until the process runs them.
class Target {
public:
    virtual ~Target() = default;
    virtual void run() = 0;
    virtual void encode(ByteWriter& out) const = 0;
};

/// Throws SpawnError{arguments}: `what` exists in this program image only.
[[noreturn]] void throw_cannot_travel(const std::string& what);

template <class Fn, class... Args>
class TypedTarget final : public Target {
public:
    template <class F, class... A>
    explicit TypedTarget(F&& fn, A&&... args)
        : fn_(std::forward<F>(fn)), args_(std::forward<A>(args)...) {}

    void run() override {
        std::apply(
            [this](Args&... args) { std::invoke(std::move(fn_), std::move(args)...); },
            args_
        );
    }

    void encode(ByteWriter& out) const override {
        if constexpr (TransportableTarget<const Fn&, const Args&...>) {
            std::apply(
                [&](const Args&... args) {
                    encode_call<CallResult::dropped>(out, fn_, args...);
                },
                args_
            );
        } else {
            constexpr Refusal why = CallTraits<const Fn&, const Args&...>::refusal;
            throw_cannot_travel(
                "the target or an argument of this process (" +
                std::string(refusal_text(why)) + ")"
            );
        }
    }

private:
    Fn fn_;
    std::tuple<Args...> args_;
};

template <class Fn>
concept NotOptions = !std::same_as<std::remove_cvref_t<Fn>, ProcessOptions> &&
                     !std::derived_from<std::remove_cvref_t<Fn>, BaseProcess>;

template <class Fn, class... Args>
concept ProcessTarget =
    NotOptions<Fn> && std::invocable<std::decay_t<Fn>, std::decay_t<Args>...>;

}  // namespace detail

/// A child that calls `target(arguments...)`.
///
/// Under fork anything callable goes. Under spawn and forkserver the target must be a
/// function, a captureless lambda or an archivable object, and the arguments
/// archivable: anything else makes start() throw SpawnError{arguments}.
class Process : public BaseProcess {
public:
    Process() = default;

    explicit Process(ProcessOptions options) : BaseProcess(std::move(options)) {}

    template <class Fn, class... Args>
        requires detail::ProcessTarget<Fn, Args...>
    explicit Process(Fn&& target, Args&&... arguments)
        : Process(
              ProcessOptions{},
              std::forward<Fn>(target),
              std::forward<Args>(arguments)...
          ) {}

    template <class Fn, class... Args>
        requires detail::ProcessTarget<Fn, Args...>
        Process(ProcessOptions options, Fn&& target, Args&&... arguments)
            : BaseProcess(std::move(options)),
              target_(std::make_unique<
                      detail::TypedTarget<std::decay_t<Fn>, std::decay_t<Args>...>>(
                  std::forward<Fn>(target), std::forward<Args>(arguments)...
              )) {}

        void run() override;

    protected:
        detail::ChildBody child_body() const override;
        void encode(detail::ByteWriter& out) const override;
        void forget_target() noexcept override;
        std::string class_name() const override;

    private:
        friend class Context;
        static int
        body_of_child(detail::Preparation&& preparation, detail::ByteReader& in);
        explicit Process(std::unique_ptr<detail::Target> target);
        void bind(StartMethod method);

        std::unique_ptr<detail::Target> target_;
        std::string class_name_ = "Process";
};

/// The base of a subclass that overrides run() and can be started by every method:
/// `struct Loader : mp::ProcessOf<Loader>`. It travels as a value: its members are what
/// its `serialize` says, and it is default-constructed in the child.
template <class Derived>
class ProcessOf : public BaseProcess {
public:
    using BaseProcess::BaseProcess;

protected:
    detail::ChildBody child_body() const override {
        return [](detail::Preparation&& preparation, detail::ByteReader& in) {
            return detail::run_child_process(std::move(preparation), [&] {
                if constexpr (has_members) {
                    return std::make_unique<Derived>(detail::decode<Derived>(in));
                } else {
                    return std::make_unique<Derived>();
                }
            });
        };
    }

    void encode(detail::ByteWriter& out) const override {
        static_assert(
            std::is_default_constructible_v<Derived>,
            "a ProcessOf<T> is default-constructed in the child: give T such a "
            "constructor"
        );
        if constexpr (has_members) {
            detail::encode(out, static_cast<const Derived&>(*this));
        }
    }

private:
    // A subclass that adds nothing but run() needs no `serialize`.
    static constexpr bool has_members = sizeof(Derived) != sizeof(ProcessOf<Derived>);
};

/// The process that started this one, seen from the child.
class ParentProcess {
public:
    ParentProcess(pid_t pid, std::string name) : pid_(pid), name_(std::move(name)) {}

    pid_t pid() const noexcept { return pid_; }
    pid_t ident() const noexcept { return pid_; }
    const std::string& name() const noexcept { return name_; }
    bool is_alive() const;
    /// Waits for its end; returns whether it has ended.
    bool join(Timeout timeout = forever) const;
    /// Readable from the moment it is gone.
    int sentinel() const noexcept;

private:
    pid_t pid_;
    std::string name_;
};

/// The object of the process that calls; "MainProcess" in the program's first process.
BaseProcess& current_process();

/// Nothing in the program's first process.
std::optional<ParentProcess> parent_process();

/// The children of this process that have not been found to be over. Reaps those that
/// are.
std::vector<ProcessHandle> active_children();

}  // namespace mp
