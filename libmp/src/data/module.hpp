// SPDX-License-Identifier: BSL-1.0
// Module: the program or one shared library, as the dynamic loader has mapped it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mp::detail {

struct Module {
    struct Range {
        std::uintptr_t begin;
        std::uintptr_t end;
    };

    /// What to add to an address in the file to get one in memory.
    std::uintptr_t base = 0;
    std::vector<Range> code;
    /// The bytes of its NT_GNU_BUILD_ID note; empty if it has none.
    std::string build_id;
    /// Empty for the program itself.
    std::string path;

    bool has_code_at(std::uintptr_t address) const noexcept;

    /// An absolute path at which another process finds the file.
    const std::string& findable_path() const;

private:
    mutable std::string absolute_;
};

/// Everything loaded now, the program first. Valid until this thread's next call.
const std::vector<Module>& loaded_modules();

/// The one of them that has code at the address; null if none has.
const Module* module_with_code_at(std::uintptr_t address);

/// Loads the file at `path` if its build-id is `build_id`: opened, compared, and then
/// loaded by its path, for its $ORIGIN. One that was replaced between is not kept, but
/// its initialisers have run. It stays loaded. Throws BinaryMismatch.
void load_module(const std::string& path, std::string_view build_id);

/// The build-id of an open ELF file, empty if it has none; nothing if it is no ELF file
/// for this machine.
std::optional<std::string> build_id_of_file(int fd);

/// The build-id of a module that is mapped there; empty if it has none.
/// Async-signal-safe.
std::string_view build_id_in_memory(std::string_view mapped) noexcept;

/// The path of the file that load_module() has loaded under this name of the loader's;
/// `name` itself of all others. Async-signal-safe.
const char* path_loaded_as(const char* name) noexcept;

}  // namespace mp::detail
