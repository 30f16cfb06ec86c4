// SPDX-License-Identifier: BSL-1.0
// The name of a function for messages. Slow; for errors only.
#include "mp/detail/code_ref.hpp"

#include "data/code_place.hpp"
#include "data/module.hpp"
#include "os/exec.hpp"
#include "util/demangle.hpp"
#include "util/hex.hpp"

#include <dlfcn.h>

namespace mp::detail {

std::string function_name(const void* function) {
    const auto address = reinterpret_cast<std::uintptr_t>(function);
    const Module* const module = module_with_code_at(address);
    if (module == nullptr) {
        return hex_number(address);
    }
    Dl_info symbol{};
    if (::dladdr(function, &symbol) != 0 && symbol.dli_saddr == function) {
        return demangled(symbol.dli_sname);
    }
    const std::uint64_t offset = address - module->base;
    const bool program = module->path.empty();
    const std::string& path = module->findable_path();
    const auto name =
        symbol_at({program ? os::own_file() : path, module->build_id, offset});
    if (!name.empty()) {
        return demangled(name.c_str());
    }
    return (program ? "program" : path) + "+" + hex_number(offset);
}

}  // namespace mp::detail
