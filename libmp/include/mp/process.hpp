// SPDX-License-Identifier: BSL-1.0
// Process: an activity that runs in a process of its own.
// Python:  multiprocessing.Process, process.BaseProcess, current_process,
//          active_children; parent_process is in mp/parent_process.hpp.
// Differs: arguments are typed and checked; a subclass that overrides run() is either a
//          ProcessOf<T> (any start method) or runs under fork only. terminate() before
//          start() is a StateError. ~Process neither kills nor joins.
// Threads: one object, one thread at a time; join, is_alive and exitcode any number.
// Throws:  SpawnError, BinaryMismatch, StateError.
// Read next: libmp/src/process/process.cpp, libmp/src/process/process_start.cpp
#pragma once

#include "mp/detail/bytes.hpp"
#include "mp/detail/child_body.hpp"
#include "mp/detail/creator.hpp"
#include "mp/detail/environment.hpp"
#include "mp/detail/process_target.hpp"
#include "mp/errors.hpp"
#include "mp/identity.hpp"
#include "mp/parent_process.hpp"
#include "mp/process_handle.hpp"
#include "mp/reduction.hpp"
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

namespace detail {

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
    /// terminate() and kill() of such a child work (by SIGKILL) also when one of the
    /// two has become another user since.
    bool die_with_parent = false;
    /// Variables that it gets besides this process's, in their place, or not. Under
    /// spawn they are there before the program's static initialisers run.
    Environment environment{};
    /// This process's own if empty. start() throws SpawnError if it cannot be entered.
    std::string working_directory{};
    /// How long start() waits for the child to say that it runs.
    Timeout start_timeout = std::chrono::seconds(30);
};

/// What all processes have: starting, waiting, killing. A subclass says in run() what
/// its child does.
class BaseProcess {
public:
    /// Starts nothing yet.
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

    /// Whether it was started and has not ended. Never blocks.
    bool is_alive() const;

    /// Nothing while it runs; then its exit code, or -N if signal N ended it. 255 if
    /// nobody can tell any more (its fork server was killed, somebody else reaped it).
    std::optional<int> exitcode() const;

    /// 0 before start().
    pid_t pid() const;
    /// The same, by Python's other name.
    pid_t ident() const { return pid(); }

    /// As given, or "Process-1" and so on.
    std::string name() const;
    /// For messages; a name need not be unique.
    void set_name(std::string name);

    /// Whether it is terminated when its parent exits.
    bool daemon() const;
    /// Throws StateError after start().
    void set_daemon(bool daemon);

    /// The key of its family, which a child takes over from its parent.
    const AuthenticationString& authkey() const;
    /// Another key, for connections that this process and its children make.
    void set_authkey(AuthenticationString key);

    /// A descriptor that is readable from the moment the child has ended. Stays the
    /// library's.
    int sentinel() const;

    /// SIGTERM. Its exit handlers do not run and its own children live on. Throws
    /// std::system_error(EPERM) for a process of another user, as kill() and
    /// interrupt() do; see die_with_parent.
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
    friend int
    detail::run_child_process(detail::Preparation&&, const detail::MakeProcess&);
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
        requires(detail::NotOptions<Fn>)
    explicit Process(Fn&& target, Args&&... arguments)
        : Process(
              ProcessOptions{},
              std::forward<Fn>(target),
              std::forward<Args>(arguments)...
          ) {
        using Check = detail::LocalCall<Fn, Args...>;
        static_cast<void>(detail::accepts<Check::refusal, Fn, Args...>());
    }

    template <class Fn, class... Args>
        requires(detail::NotOptions<Fn>)
    Process(ProcessOptions options, Fn&& target, Args&&... arguments)
        : BaseProcess(std::move(options)),
          target_(detail::make_target(
              std::forward<Fn>(target), std::forward<Args>(arguments)...
          )) {
        using Check = detail::LocalCall<Fn, Args...>;
        static_cast<void>(detail::accepts<Check::refusal, Fn, Args...>());
    }

    /// For an overloaded name, which has no type: says so.
    template <class T = void>
    explicit Process(...) {
        static_cast<void>(sizeof(detail::NameTheOverload<T>));
    }

    template <
        class T = void,
        class First,
        class... Rest,
        class Name = typename detail::NameTheOverloadBefore<T, First, Rest...>::type>
        requires std::same_as<Name, detail::Refused>
    explicit Process(Name&&, First&&, Rest&&...);

    void run() override;

protected:
    detail::ChildBody child_body() const override;
    void encode(detail::ByteWriter& out) const override;
    void forget_target() noexcept override;
    std::string class_name() const override;

private:
    friend class Context;
    static int body_of_child(detail::Preparation&& preparation, detail::ByteReader& in);
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

/// The object of the process that calls; "MainProcess" in the program's first process.
BaseProcess& current_process();

/// The children of this process that have not been found to be over. Reaps those that
/// are.
std::vector<ProcessHandle> active_children();

}  // namespace mp
