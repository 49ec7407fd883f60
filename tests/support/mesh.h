// SPDX-License-Identifier: Apache-2.0
// A whole mesh node for a test: sockmesh-xds on a folder and sockmeshd, in a sandbox.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "maps/kernel_image.h"
#include "support/eventually.h"
#include "support/process.h"
#include "support/sandbox.h"

namespace sockmesh::test {

class Mesh {
 public:
  // `sandbox` outlives the mesh.
  explicit Mesh(const Sandbox& sandbox);

  // Puts a file into the served folder, whole.
  void serve(const std::string& name, const std::string& text) const;
  void startControlPlane(const std::vector<std::string>& moreFlags = {});
  void startAgent(const std::vector<std::string>& moreFlags = {});
  std::vector<std::string> agentCommand() const;
  // Waits until the agent says it is ready.
  bool ready() const;

  Process& agent() { return *agent_; }
  Process& controlPlane() { return *controlPlane_; }
  void killAgent();
  void stopControlPlane() { controlPlane_.reset(); }
  std::string folder() const { return folder_; }
  std::string adminSocket() const { return sandbox_.folder() + "/admin.sock"; }
  // Writes a configuration for the agent, and returns the flags that name it.
  std::vector<std::string> agentConfig(const std::string& yaml) const;
  std::string get(const std::string& path) const;  // from the admin port; "" where it fails
  int statusOf(const std::string& path) const;     // HTTP status; 0 where it fails

  // What the kernel holds now.
  KernelImage image() const;
  // Waits until `condition(image)` holds.
  template <typename Condition>
  bool awaitImage(Condition condition) const {
    return eventually([&] { return condition(image()); }, std::chrono::seconds(20));
  }

 private:
  const Sandbox& sandbox_;
  std::string folder_;
  std::unique_ptr<Process> controlPlane_;
  std::unique_ptr<Process> agent_;
};

// The YAML of one TCP service: listener, cluster and endpoints ("address:port" or
// "address:port*weight").
std::string serviceYaml(const std::string& vip, const std::string& cluster,
                        const std::vector<std::string>& endpoints,
                        const std::string& clusterFields = "");

}  // namespace sockmesh::test
