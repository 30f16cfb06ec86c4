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

namespace {

CodePlace place_in(const Module& module, std::uint64_t offset) {
    return {
        .path = module.path.empty() ? os::own_file() : module.findable_path(),
        .build_id = module.build_id,
        .offset = offset};
}

}  // namespace

std::string name_of_function_at(const void* function) {
    const auto address = reinterpret_cast<std::uintptr_t>(function);
    const Module* const module = module_with_code_at(address);
    if (module == nullptr) {
        return {};
    }
    const std::uint64_t offset = address - module->base;
    const auto name = symbol_at(place_in(*module, offset));
    // In the middle of a function, the byte before has the same name.
    if (name.empty() || symbol_at(place_in(*module, offset - 1)) == name) {
        return {};
    }
    return demangled(name.c_str());
}

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
    const auto name = symbol_at(place_in(*module, offset));
    if (!name.empty()) {
        return demangled(name.c_str());
    }
    return (module->path.empty() ? "program" : module->findable_path()) + "+" +
           hex_number(offset);
}

}  // namespace mp::detail
