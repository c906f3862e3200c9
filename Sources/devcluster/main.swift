import DevClusterKit
import Platform

Program.exit(DevCluster.run(Array(ProcessEnvironment.words.dropFirst())))
