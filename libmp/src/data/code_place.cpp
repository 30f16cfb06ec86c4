// SPDX-License-Identifier: BSL-1.0
// Modules as a signal handler may look for them, and symbols out of files.
#include "data/code_place.hpp"

#include "mp/fd.hpp"

#include "data/module.hpp"
#include "os/new_fd.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace mp::detail {

namespace {

class MappedFile {
public:
    /// Empty unless the file has that build-id.
    MappedFile(const char* path, std::string_view build_id) {
        const UniqueFd fd =
            os::try_new_fd([path] { return ::open(path, O_RDONLY | O_CLOEXEC); });
        struct stat status {};
        if (!fd || ::fstat(fd.get(), &status) < 0 || !S_ISREG(status.st_mode) ||
            status.st_size <= 0 || build_id_of_file(fd.get()) != build_id) {
            return;
        }
        const auto size = static_cast<std::size_t>(status.st_size);
        void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
        if (at != MAP_FAILED) {
            bytes_ = {static_cast<const char*>(at), size};
        }
    }

    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    ~MappedFile() {
        if (!bytes_.empty()) {
            ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
        }
    }

    /// Empty if the file does not reach that far.
    std::string_view view(std::uint64_t offset, std::uint64_t size) const {
        if (offset > bytes_.size() || size > bytes_.size() - offset) {
            return {};
        }
        return bytes_.substr(offset, size);
    }

    /// False if the file does not reach that far.
    template <class T>
    bool read(std::uint64_t offset, T& to) const {
        const auto bytes = view(offset, sizeof(T));
        if (bytes.empty()) {
            return false;
        }
        std::memcpy(&to, bytes.data(), sizeof(T));
        return true;
    }

private:
    std::string_view bytes_;
};

/// The function symbol of `table` that covers `address`.
std::string symbol_in(
    const MappedFile& file,
    const ElfW(Shdr) & table,
    const ElfW(Shdr) & strings,
    std::uint64_t address
) {
    const auto names = file.view(strings.sh_offset, strings.sh_size);
    ElfW(Sym) symbol;
    for (std::uint64_t at = 0; at + sizeof symbol <= table.sh_size;
         at += sizeof symbol) {
        if (!file.read(table.sh_offset + at, symbol)) {
            break;
        }
        if ((symbol.st_info & 0xf) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
            symbol.st_name < names.size() &&
            address - symbol.st_value < std::max<std::uint64_t>(symbol.st_size, 1)) {
            const auto name = names.substr(symbol.st_name);
            return std::string(name.substr(0, name.find('\0')));
        }
    }
    return {};
}

std::string
symbol_in_tables(const MappedFile& file, std::uint32_t kind, std::uint64_t address) {
    ElfW(Ehdr) header;
    if (!file.read(0, header)) {
        return {};
    }
    const auto section = [&](std::uint64_t index, ElfW(Shdr) & to) {
        return file.read(header.e_shoff + index * sizeof to, to);
    };
    for (unsigned i = 0; i < header.e_shnum; ++i) {
        ElfW(Shdr) table;
        ElfW(Shdr) strings;
        if (section(i, table) && table.sh_type == kind &&
            section(table.sh_link, strings)) {
            return symbol_in(file, table, strings, address);
        }
    }
    return {};
}

/// What a module is mapped at, and what the loader knows of it.
struct Mapped {
    const link_map* map = nullptr;
    const char* begin = nullptr;
    const char* end = nullptr;
};

bool find_mapped(void* address, Mapped& found) noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    dl_find_object object{};
    if (::_dl_find_object(address, &object) != 0) {
        return false;
    }
    found.map = object.dlfo_link_map;
    found.begin = static_cast<const char*>(object.dlfo_map_start);
    found.end = static_cast<const char*>(object.dlfo_map_end);
#else
    // A C library before 2.35: takes the loader's lock, as its backtrace() does.
    Dl_info symbol{};
    link_map* map = nullptr;
    if (::dladdr1(address, &symbol, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) ==
        0) {
        return false;
    }
    found.map = map;
    found.begin = static_cast<const char*>(symbol.dli_fbase);
    found.end = static_cast<const char*>(address);
#endif
    return found.map != nullptr;
}

}  // namespace

std::optional<LoadedCode> loaded_code_at(std::uintptr_t address) noexcept {
    Mapped found;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
    if (!find_mapped(reinterpret_cast<void*>(address), found)) {
        return std::nullopt;
    }
    LoadedCode code;
    code.base = found.map->l_addr;
    if (found.map->l_name != nullptr) {
        code.path = path_loaded_as(found.map->l_name);
    }
    const auto size = static_cast<std::size_t>(found.end - found.begin);
    code.build_id = build_id_in_memory({found.begin, size});
    return code;
}

std::string symbol_at(const CodePlace& place) {
    const MappedFile file(place.path.c_str(), place.build_id);
    auto name = symbol_in_tables(file, SHT_SYMTAB, place.offset);
    return !name.empty() ? name : symbol_in_tables(file, SHT_DYNSYM, place.offset);
}

}  // namespace mp::detail
