// SPDX-License-Identifier: BSL-1.0
// StartMethod: how a process comes into being, and which way is the default.
// Python:  multiprocessing.get_start_method, set_start_method, get_all_start_methods.
// Differs: an enumeration that also compares with Python's names ("spawn").
// Threads: any.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace mp {

/// How a process comes into being.
enum class StartMethod {
    fork,        ///< a copy of this process
    spawn,       ///< this program, run again
    forkserver,  ///< a copy of a small, single-threaded server that is this program,
                 ///< run again
};

/// "fork", "spawn", "forkserver".
std::string_view to_string(StartMethod method) noexcept;

/// Throws std::invalid_argument for any other name.
StartMethod start_method_from(std::string_view name);

inline bool operator==(StartMethod method, std::string_view name) noexcept {
    return to_string(method) == name;
}

struct SetStartMethodOptions {
    /// Set it even if it is settled.
    bool force = false;
};

/// Sets the default of this process and its children. Once only: StateError afterwards,
/// unless `force` is given. Throws std::invalid_argument for an unknown name.
void set_start_method(StartMethod method, SetStartMethodOptions options = {});
void set_start_method(std::string_view name, SetStartMethodOptions options = {});

/// The default. Asking settles it, as in Python.
StartMethod get_start_method();

struct GetStartMethodOptions {
    /// Return nothing, instead of settling it.
    bool allow_none = false;
};

/// The default without settling it, if `allow_none`: nothing when it is still open.
std::optional<StartMethod> get_start_method(GetStartMethodOptions options);

/// Whether the first fork beside threads that are not the library's own is said on
/// stderr; at first it is. Such a fork copies the locks that those threads hold. The
/// log has it in any case. Python: warnings.simplefilter("ignore", DeprecationWarning).
void set_fork_warning(bool on) noexcept;

/// All of them, the default of the library first.
std::vector<StartMethod> get_all_start_methods();

namespace detail {

/// In a child: what the parent had settled on.
void inherit_start_method(std::optional<StartMethod> method);

}  // namespace detail
}  // namespace mp
